//! `backfill verify`: reads table and index to the end and compares them.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use futures_util::{TryStreamExt, future::try_join_all};
use shared::key::SEPARATOR;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::args::VerifyArgs;
use crate::convert::ToType;
use crate::error::Error;
use crate::examine::{ItemClassifier, RECEIVED_AT, Verdict};
use crate::json::Item;
use crate::limit::CapacityLimiter;
use crate::progress::{Progress, StatusSink, Totals};
use crate::scan::{Reader, Source};
use crate::table_info::describe;

mod report;

pub use report::{Count, Report};

/// Reads the table and the index to the end.
///
/// # Errors
/// When the service refuses, patience ends, or it is interrupted.
pub async fn verify(
    client: &Client,
    args: &VerifyArgs,
    stop: &CancellationToken,
    status: StatusSink<'_>,
) -> Result<Report, Error> {
    let info = describe(client, &args.job, &args.scan, stop).await?;
    let index = args.job.index().filter(|_| info.index.is_some());
    if let (Some(name), None) = (args.job.index(), index) {
        return Err(Error::Guard(format!(
            "table `{}` has no index `{name}`; --no-index compares the items alone",
            info.table
        )));
    }
    let classifier = ItemClassifier::new(&info, &args.job);
    let reader = Reader {
        client: client.clone(),
        limiter: Arc::new(CapacityLimiter::new(args.scan.max_rcu, info.page_units(args.scan.page_items))),
        patience: args.scan.patience(),
        stop: stop.clone(),
    };
    let table = Source::table(&info.table, classifier.attributes(), info.segments(&args.scan), &args.scan);
    let check =
        Check { reader, classifier, to: args.job.to_type, young: now().saturating_sub(YOUNG), seen: Mutex::default() };
    let entries = index.map(|name| Source {
        index: Some(name.to_owned()),
        attributes: vec![check.classifier.channel.clone(), check.classifier.to.clone(), RECEIVED_AT.to_owned()],
        ..table.clone()
    });
    let passes = 1 + u64::from(entries.is_some());
    let mut progress = Progress::new(Totals::default(), info.items * passes);
    let found = tokio::select! {
        found = check.passes(&table, entries.as_ref()) => found,
        never = check.watch(&mut progress, status) => match never {},
    };
    progress.end();
    let report = Report { table: info.table, index_checked: index.is_some(), ..Report::default() };
    Ok(report.add(found?))
}

/// Microseconds before the start from which on an item may be written while the table is read: what clocks differ by, and what
/// lies between an event and its write.
const YOUNG: u64 = 60_000_000;

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

struct Check {
    reader: Reader,
    classifier: ItemClassifier,
    to: ToType,
    /// Items from this time on are young, microseconds since the Unix epoch.
    young: u64,
    /// Items and entries read so far, for the progress.
    seen: Mutex<Totals>,
}

impl Check {
    async fn passes(&self, table: &Source, entries: Option<&Source>) -> Result<Report, Error> {
        let items = self.read(table, Self::item).await?;
        match entries {
            Some(entries) => Ok(items.add(self.read(entries, Self::entry).await?)),
            None => Ok(items),
        }
    }

    async fn watch(&self, progress: &mut Progress, status: StatusSink<'_>) -> Infallible {
        let mut tick = interval(Duration::from_millis(200));
        loop {
            tick.tick().await;
            let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(line) = progress.show(&seen) {
                status(line);
            }
        }
    }

    async fn read(&self, source: &Source, look: fn(&Self, &mut Report, &Item)) -> Result<Report, Error> {
        let segment = |segment: u32| {
            self.reader.pages(source, segment, None).try_fold(Report::default(), move |mut report, page| async move {
                report.read_units += page.units;
                let read = Totals { items: page.items.len() as u64, read_units: page.units, ..Totals::default() };
                self.seen.lock().unwrap_or_else(PoisonError::into_inner).add(&read);
                for item in &page.items {
                    look(self, &mut report, item);
                }
                Ok(report)
            })
        };
        let parts = try_join_all((0..source.segments).map(segment)).await?;
        Ok(parts.into_iter().fold(Report::default(), Report::add))
    }

    /// Judges by the latest of an item's times: its own, the target's, and when it was received.
    fn is_young(&self, item: &Item) -> bool {
        let digits = |name: &str| match item.get(name) {
            Some(AttributeValue::N(digits)) => digits.parse().ok(),
            Some(AttributeValue::S(text)) => text.split(SEPARATOR).next().and_then(|digits| digits.parse().ok()),
            _ => None,
        };
        let times =
            [self.classifier.from.as_str(), self.classifier.to.as_str(), RECEIVED_AT].into_iter().filter_map(digits);
        times.max().is_some_and(|latest: u64| latest >= self.young)
    }

    fn item(&self, report: &mut Report, item: &Item) {
        if self.is_young(item) && !matches!(self.classifier.examine(item), Some(Verdict::Own) | None) {
            report.items += 1;
            report.late += 1;
            return;
        }
        match self.classifier.examine(item) {
            Some(Verdict::Right) => report.right += 1,
            Some(Verdict::Kept) => report.kept += 1,
            Some(Verdict::Change(change)) if change.old.is_none() => report.missing += 1,
            Some(Verdict::Change(_)) => report.wrong += 1,
            Some(Verdict::Reject(_)) => report.rejects += 1,
            Some(Verdict::Own) | None => return,
        }
        report.items += 1;
        let has_target = match item.get(&self.classifier.to) {
            Some(AttributeValue::N(_)) => self.to == ToType::N,
            Some(AttributeValue::S(_)) => self.to == ToType::S,
            _ => false,
        };
        if let (true, Some(AttributeValue::S(channel))) = (has_target, item.get(&self.classifier.channel)) {
            report.channel(channel).table += 1;
        }
    }

    fn entry(&self, report: &mut Report, entry: &Item) {
        if self.is_young(entry) || self.classifier.is_listed_channel(entry) {
            return;
        }
        if let Some(AttributeValue::S(channel)) = entry.get(&self.classifier.channel) {
            report.channel(channel).index += 1;
        }
    }
}
