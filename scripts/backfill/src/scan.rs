//! Scans a segment page by page.

use aws_sdk_dynamodb::{
    Client,
    types::{ReturnConsumedCapacity, Select},
};
use futures_util::{Stream, stream};
use tokio_util::sync::CancellationToken;

use crate::args::ScanArgs;
use crate::error::Error;
use crate::json::Item;
use crate::limit::CapacityLimiter;
use crate::retry::{Patience, until_answered};

/// What is scanned.
#[derive(Clone, Debug)]
pub struct Source {
    /// The table.
    pub table: String,
    /// The index instead of the table itself.
    pub index: Option<String>,
    /// Only these attributes; everything where empty.
    pub attributes: Vec<String>,
    /// In how many segments.
    pub segments: u32,
    /// Items in a page.
    pub page_items: u32,
    /// See [`ScanArgs::consistent_read`].
    pub consistent: bool,
}

/// One page.
#[derive(Debug)]
pub struct Page {
    /// The items, in the engine's order.
    pub items: Vec<Item>,
    /// Where the next page begins; `None` at the end of the segment.
    pub next: Option<Item>,
    /// Read units consumed.
    pub units: f64,
}

impl Source {
    /// The table, these attributes of it.
    pub fn table(table: &str, attributes: Vec<String>, segments: u32, args: &ScanArgs) -> Self {
        Self {
            table: table.to_owned(),
            index: None,
            attributes,
            segments,
            page_items: args.page_items,
            consistent: args.consistent_read,
        }
    }
}

/// How a scan goes about it.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The service.
    pub client: Client,
    /// Read units a second.
    pub limiter: std::sync::Arc<CapacityLimiter>,
    /// How long to go on without progress.
    pub patience: std::time::Duration,
    /// Interrupts.
    pub stop: CancellationToken,
}

impl Reader {
    /// The pages of a segment from this key on, one after the other.
    pub fn pages(&self, source: &Source, segment: u32, after: Option<Item>) -> impl Stream<Item = Result<Page, Error>> {
        let from = Some(after);
        stream::try_unfold(from, move |from| async move {
            let Some(after) = from else { return Ok(None) };
            let page = self.page(source, segment, after).await?;
            let next = page.next.clone().map(Some);
            Ok(Some((page, next)))
        })
    }

    /// Reads one page, waiting for the limiter and through failures.
    ///
    /// # Errors
    /// When the service refuses, patience ends, or the command is interrupted.
    async fn page(&self, source: &Source, segment: u32, after: Option<Item>) -> Result<Page, Error> {
        let Self { client, limiter, patience, stop } = self;
        let mut names: Vec<&String> = source.attributes.iter().collect();
        names.sort_unstable();
        names.dedup();
        let aliases = || names.iter().enumerate().map(|(position, name)| (format!("#a{position}"), (*name).clone()));
        let projection = aliases().map(|(alias, _)| alias).collect::<Vec<_>>().join(",");
        let request = || {
            let mut request = client
                .scan()
                .table_name(&source.table)
                .set_index_name(source.index.clone())
                .limit(i32::try_from(source.page_items).unwrap_or(i32::MAX))
                .consistent_read(source.consistent && source.index.is_none())
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .set_exclusive_start_key(after.clone());
            if source.segments > 1 {
                let number = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
                request = request.segment(number(segment)).total_segments(number(source.segments));
            }
            if !names.is_empty() {
                request = request
                    .select(Select::SpecificAttributes)
                    .projection_expression(&projection)
                    .set_expression_attribute_names(Some(aliases().collect()));
            }
            request.send()
        };
        let reservation = limiter.take(1, stop).await?;
        let patience = Patience::new("Scan", *patience);
        let Some(output) = until_answered(patience, stop, request).await? else {
            return Err(Error::Guard("the engine has no Scan".to_owned()));
        };
        let reported = output.consumed_capacity.as_ref().and_then(|capacity| capacity.capacity_units);
        let units = reported.unwrap_or_else(|| reservation.units());
        limiter.settle(reservation, 1, units, 0.0);
        Ok(Page { items: output.items.unwrap_or_default(), next: output.last_evaluated_key, units })
    }
}
