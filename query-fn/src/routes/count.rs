//! `/count`: how much a range holds.

use axum::{body::Body, http::Response};
use serde_json::Value;
use tokio::time::Instant;

use super::context::RequestContext;
use crate::http::caching::Caching;
use crate::http::problem::Problem;
use crate::http::render::Columns;
use crate::http::request::derived::{COUNT_TOKEN, CountRequest};
use crate::http::request::parameters::check_fields;
use crate::http::response::{self, Envelope};
use crate::query::count::{self, Ends, MAX_PAGES};
use crate::query::expiry::Ledgers;
use crate::query::{coverage, gaps};
use crate::range::{END_OF_TIME, Range};

/// The columns of `/count` as CSV.
const COLUMNS: Columns = &["channel", "first", "last", "items", "bytes", "read_units"];

/// The most pages of the ledger for one answer: about a month of a daemon.
const LEDGER_PAGES: usize = 8;

/// Answers with the size of a range, its first and last event, and its gaps.
pub(super) async fn one(context: RequestContext) -> Result<Response<Body>, Problem> {
    let app = &context.app;
    let request = CountRequest::read(context.input())?;
    let CountRequest { range, so_far, presentation } = &request;
    check_fields(presentation.fields.as_deref(), COLUMNS)?;
    let mut caching = context.caching(range, &format!("count {so_far:?}"), presentation);
    if let Some(response) = response::by_condition(&caching, &context.headers) {
        return Ok(response);
    }
    let (deadline, channel) = (context.deadline(), range.subject.name());
    let ends = count::ends(&context.store, range, deadline).await?;
    let counting = count::read(&context.store, range, so_far.clone(), MAX_PAGES, deadline);
    let (count, gaps) = tokio::join!(counting, gaps(context.ledgers(), range, ends, deadline));
    let count = count?;
    if count.is_empty() {
        app.channels.check(channel, &context.store, deadline).await?;
    }
    if gaps.may_change || count.through.is_some() {
        caching = Caching::Mutable;
    }
    let next = count.through.map(|_| app.signer.issue_for(range, &count.to_string(), COUNT_TOKEN));
    let item = count.item(channel, ends);
    let written = response::write(presentation, COLUMNS, std::iter::once(&item));
    let envelope = Envelope {
        token: next.transpose()?,
        gaps: Some(gaps.list.len()),
        fields: vec![("Gaps", Value::Array(gaps.list))],
        ..Envelope::default()
    };
    response::finish(written, envelope, presentation, &caching, &context.uri)
}

/// Reads the gaps between the ends of the range, or, without `from` or `to`, those of its events.
async fn gaps(ledgers: Ledgers<'_>, range: &Range, ends: Ends, deadline: Instant) -> gaps::Gaps {
    let from = Some(range.from).filter(|from| *from > 0).or(ends.first);
    let to = Some(range.to).filter(|to| *to < END_OF_TIME).or(ends.last);
    let Some(ends) = from.zip(to).filter(|(from, to)| from <= to) else { return gaps::Gaps::default() };
    let deadline = deadline.min(ledgers.long_deadline());
    let read = coverage::read(ledgers, range.subject.name(), ends, LEDGER_PAGES, deadline).await;
    gaps::of(read, ends).shortened(ends.1)
}
