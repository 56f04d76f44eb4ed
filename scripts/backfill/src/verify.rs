use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use futures_util::{TryStreamExt, future::try_join_all};
use serde::Serialize;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::{
    args::VerifyArgs,
    convert::ToType,
    error::Error,
    examine::{Lens, Verdict},
    json::Item,
    limit::Meter,
    progress::{Progress, Totals},
    run::Tell,
    scan::{Reader, Source},
    shape::describe,
};

/// Distinct values of the index's partition key that are counted by themselves.
const CHANNELS: usize = 10_000;
/// Where the others are counted.
const OTHERS: &str = "(others)";

/// Items of one value of the index's partition key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Items of the table that belong into the index.
    pub table: u64,
    /// Entries of the index.
    pub index: u64,
}

/// What a full pass found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The table.
    pub table: String,
    /// Items read.
    pub items: u64,
    /// Items whose target is right.
    pub right: u64,
    /// Items of this project whose target is no copy of the source.
    pub kept: u64,
    /// Items without a target that should have one.
    pub missing: u64,
    /// Items with a wrong target.
    pub wrong: u64,
    /// Items whose source is no time: the rejects of a run.
    pub rejects: u64,
    /// Whether the index was compared.
    pub index_checked: bool,
    /// By value of the index's partition key.
    pub channels: BTreeMap<String, Count>,
    /// Read units consumed.
    pub read_units: f64,
}

impl Report {
    /// Values of the index's partition key whose counts differ.
    pub fn differing(&self) -> impl Iterator<Item = (&String, &Count)> {
        self.channels.iter().filter(|(_, count)| self.index_checked && count.table != count.index)
    }

    /// 0 where all is right, 3 where only rejects are left, 4 where something differs.
    pub fn exit_code(&self) -> u8 {
        match (self.missing + self.wrong > 0 || self.differing().next().is_some(), self.rejects > 0) {
            (true, _) => 4,
            (false, true) => 3,
            (false, false) => 0,
        }
    }

    fn channel(&mut self, name: &str) -> &mut Count {
        let known = self.channels.contains_key(name) || self.channels.len() < CHANNELS;
        self.channels.entry(if known { name } else { OTHERS }.to_owned()).or_default()
    }

    fn add(mut self, other: Self) -> Self {
        self.items += other.items;
        self.right += other.right;
        self.kept += other.kept;
        self.missing += other.missing;
        self.wrong += other.wrong;
        self.rejects += other.rejects;
        self.read_units += other.read_units;
        for (name, count) in other.channels {
            let sum = self.channel(&name);
            sum.table += count.table;
            sum.index += count.index;
        }
        self
    }
}

/// Reads the table and the index to the end.
///
/// # Errors
/// When the service refuses, patience ends, or it is interrupted.
pub async fn verify(
    client: &Client,
    args: &VerifyArgs,
    stop: &CancellationToken,
    tell: Tell<'_>,
) -> Result<Report, Error> {
    let shape = describe(client, &args.job, &args.scan, stop).await?;
    let index = args.job.index().filter(|_| shape.index.is_some());
    if let (Some(name), None) = (args.job.index(), index) {
        return Err(Error::Guard(format!(
            "table `{}` has no index `{name}`; --no-index compares the items alone",
            shape.table
        )));
    }
    let lens = Lens::new(&shape, &args.job);
    let reader = Reader {
        client: client.clone(),
        meter: Arc::new(Meter::new(args.scan.max_rcu, shape.page_units(args.scan.page_items))),
        patience: args.scan.patience(),
        stop: stop.clone(),
    };
    let attributes = lens.keys.iter().chain([&lens.from, &lens.to, &lens.channel]).cloned().collect();
    let table = Source::table(&shape.table, attributes, shape.segments(&args.scan), &args.scan);
    let check = Check { reader, lens, to: args.job.to_type, seen: Mutex::default() };
    let entries = index.map(|name| Source {
        index: Some(name.to_owned()),
        attributes: vec![check.lens.channel.clone()],
        ..table.clone()
    });
    let passes = 1 + u64::from(entries.is_some());
    let mut progress = Progress::new(Totals::default(), shape.items * passes);
    let found = tokio::select! {
        found = check.passes(&table, entries.as_ref()) => found,
        never = check.watch(&mut progress, tell) => match never {},
    };
    progress.end();
    let report = Report { table: shape.table, index_checked: index.is_some(), ..Report::default() };
    Ok(report.add(found?))
}

struct Check {
    reader: Reader,
    lens: Lens,
    to: ToType,
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

    async fn watch(&self, progress: &mut Progress, tell: Tell<'_>) -> Infallible {
        let mut tick = interval(Duration::from_millis(200));
        loop {
            tick.tick().await;
            let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(line) = progress.show(&seen) {
                tell(line);
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

    fn item(&self, report: &mut Report, item: &Item) {
        match self.lens.examine(item) {
            Some(Verdict::Right) => report.right += 1,
            Some(Verdict::Kept) => report.kept += 1,
            Some(Verdict::Change(change)) if change.old.is_none() => report.missing += 1,
            Some(Verdict::Change(_)) => report.wrong += 1,
            Some(Verdict::Reject(_)) => report.rejects += 1,
            Some(Verdict::Own) | None => return,
        }
        report.items += 1;
        let has_target = match item.get(&self.lens.to) {
            Some(AttributeValue::N(_)) => self.to == ToType::N,
            Some(AttributeValue::S(_)) => self.to == ToType::S,
            _ => false,
        };
        if let (true, Some(AttributeValue::S(channel))) = (has_target, item.get(&self.lens.channel)) {
            report.channel(channel).table += 1;
        }
    }

    fn entry(&self, report: &mut Report, entry: &Item) {
        if let Some(AttributeValue::S(channel)) = entry.get(&self.lens.channel) {
            report.channel(channel).index += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(change: impl FnOnce(&mut Report)) -> u8 {
        let mut report = Report { index_checked: true, ..Report::default() };
        report.channels.insert("c".to_owned(), Count { table: 2, index: 2 });
        change(&mut report);
        report.exit_code()
    }

    #[test]
    fn the_exit_code_tells_the_worst() {
        assert_eq!(report(|_| ()), 0);
        assert_eq!(report(|report| report.rejects = 1), 3);
        assert_eq!(report(|report| report.wrong = 1), 4);
        assert_eq!(report(|report| (report.missing, report.rejects) = (1, 1)), 4);
        assert_eq!(report(|report| report.channel("c").index = 1), 4);
    }

    #[test]
    fn a_table_of_countless_channels_does_not_fill_the_memory() {
        let mut report = Report::default();
        for number in 0..CHANNELS + 5 {
            report.channel(&number.to_string()).table += 1;
        }
        assert_eq!((report.channels.len(), report.channels[OTHERS].table), (CHANNELS + 1, 5));
    }
}
