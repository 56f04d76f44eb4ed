//! `backfill plan`: reads a sample and reports what a run would change and cost.

use std::{collections::BTreeMap, sync::Arc};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use futures_util::{StreamExt, TryStreamExt, future::try_join_all};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::args::PlanArgs;
use crate::error::Error;
use crate::examine::{Change, ItemClassifier, Verdict};
use crate::json::{Item, item_size};
use crate::limit::CapacityLimiter;
use crate::progress::as_f64;
use crate::scan::{Reader, Source};
use crate::table_info::{Billing, Recovery, TableInfo, describe, recovery};

/// Write units a second that one partition takes, of the table and of the index alike.
/// Source: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>
const PARTITION_UNITS: f64 = 1000.0;
/// A sample of a larger table is taken from so many places of it.
const PLACES: u32 = 8;
/// Items above which a sample is taken from several places.
const LARGE: u64 = 100_000;

/// What a run would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The table.
    pub table: String,
    /// Partition key and sort key.
    pub key: Vec<String>,
    /// `on demand`, or the provisioned units.
    pub capacity: String,
    /// `ACTIVE`, ...; none where the index is missing.
    pub index: Option<String>,
    /// Whether an index is wanted at all.
    pub index_wanted: bool,
    /// `on`, `off`, or `none on this engine`.
    pub point_in_time_recovery: &'static str,
    /// Whether the whole table was read.
    pub exact: bool,
    /// Items read for this plan.
    pub looked_at: u64,
    /// Items of the table: counted, or as the service described them.
    pub items: u64,
    /// Items that a run would write.
    pub to_write: u64,
    /// Values that it would reject.
    pub rejects: u64,
    /// Items that it would leave alone.
    pub right: u64,
    /// Read units of a run; `verify` takes as many for the table and as many again for the index.
    pub read_units: f64,
    /// Write units of the table.
    pub write_units_table: f64,
    /// Write units of the index; where it is missing, with those of creating it for items that are right already.
    pub write_units_index: f64,
    /// Money for both, in the currency of the prices given.
    pub cost: f64,
    /// Seconds at the rates given; none where none was given.
    pub seconds_at_rate: Option<f64>,
    /// Seconds that the busiest partition of the index takes at 1,000 units a second.
    pub seconds_floor: f64,
    /// That partition.
    pub busiest: Option<String>,
    /// Its share of the index's units.
    pub busiest_share: f64,
}

#[derive(Debug, Default)]
struct Findings {
    items: u64,
    to_write: u64,
    rejects: u64,
    right: u64,
    bytes: u64,
    table_units: f64,
    by_channel: BTreeMap<String, f64>,
}

/// Reads a sample or everything; changes nothing.
///
/// # Errors
/// When the service refuses, patience ends, or it is interrupted.
pub async fn plan(client: &Client, args: &PlanArgs, stop: &CancellationToken) -> Result<Report, Error> {
    let info = describe(client, &args.job, &args.scan, stop).await?;
    let recovery = recovery(client, &args.job.table, args.scan.patience(), stop).await?;
    let reader = Reader {
        client: client.clone(),
        limiter: Arc::new(CapacityLimiter::new(args.scan.max_rcu, info.page_units(args.scan.page_items))),
        patience: args.scan.patience(),
        stop: stop.clone(),
    };
    let findings = look(&reader, &ItemClassifier::new(&info, &args.job), args, &info).await?;
    Ok(report(args, &info, recovery, &findings))
}

async fn look(
    reader: &Reader,
    classifier: &ItemClassifier,
    args: &PlanArgs,
    info: &TableInfo,
) -> Result<Findings, Error> {
    let mut source = Source::table(&info.table, Vec::new(), info.segments(&args.scan), &args.scan);
    let pages = if args.count {
        usize::MAX
    } else {
        if args.scan.segments.is_none() && info.items > LARGE {
            source.segments = source.segments.max(PLACES);
        }
        source.page_items = args.sample.div_ceil(source.segments).clamp(1, args.scan.page_items);
        usize::try_from(args.sample.div_ceil(source.segments).div_ceil(source.page_items)).unwrap_or(1)
    };
    let source = &source;
    let segment = |segment: u32| {
        let pages = reader.pages(source, segment, None).take(pages);
        pages.try_fold(Findings::default(), move |mut findings, page| async move {
            page.items.iter().for_each(|item| findings.note(classifier, item, info.index.is_none()));
            Ok(findings)
        })
    };
    let parts = try_join_all((0..source.segments).map(segment)).await?;
    Ok(parts.into_iter().fold(Findings::default(), Findings::add))
}

impl Findings {
    fn note(&mut self, classifier: &ItemClassifier, item: &Item, index_is_missing: bool) {
        match classifier.examine(item) {
            Some(Verdict::Change(change)) => {
                self.to_write += 1;
                self.charge(classifier, item, &change);
            }
            Some(Verdict::Reject(_)) => self.rejects += 1,
            Some(Verdict::Right | Verdict::Kept) => {
                self.right += 1;
                // Creating the index writes an entry for each item that has its key already.
                if index_is_missing && item.contains_key(&classifier.to) {
                    self.charge_index(classifier, item, as_f64(item_size(item).div_ceil(1024) as u64));
                }
            }
            Some(Verdict::Own) | None => return,
        }
        self.items += 1;
        self.bytes += item_size(item) as u64;
    }

    /// An update takes the units of the larger of the item before and after it; so does its entry of the index.
    fn charge(&mut self, classifier: &ItemClassifier, item: &Item, change: &Change) {
        let added = classifier.to.len() + shared::attribute::size(&change.new);
        let units = as_f64((item_size(item) + added).div_ceil(1024) as u64);
        self.table_units += units;
        self.charge_index(classifier, item, units);
    }

    fn charge_index(&mut self, classifier: &ItemClassifier, item: &Item, units: f64) {
        if let Some(AttributeValue::S(channel)) = item.get(&classifier.channel) {
            *self.by_channel.entry(channel.clone()).or_default() += units;
        }
    }

    fn add(mut self, other: Self) -> Self {
        self.items += other.items;
        self.to_write += other.to_write;
        self.rejects += other.rejects;
        self.right += other.right;
        self.bytes += other.bytes;
        self.table_units += other.table_units;
        for (channel, units) in other.by_channel {
            *self.by_channel.entry(channel).or_default() += units;
        }
        self
    }
}

fn report(args: &PlanArgs, info: &TableInfo, recovery: Recovery, findings: &Findings) -> Report {
    // The service counts every six hours: a count of its own beats that, and so does a sample that saw more.
    let items = if args.count { findings.items } else { info.items.max(findings.items) };
    let exact = items == findings.items;
    let scale = if findings.items == 0 { 0.0 } else { as_f64(items) / as_f64(findings.items) };
    let wanted = args.job.index().is_some();
    let bytes = if exact { findings.bytes } else { info.bytes };
    let read_units = as_f64(bytes.div_ceil(8192)) * if args.scan.consistent_read { 2.0 } else { 1.0 };
    let write_units_table = findings.table_units * scale;
    let by_channel = findings.by_channel.values().sum::<f64>() * scale;
    let write_units_index = if wanted { by_channel } else { 0.0 };
    let busiest = findings.by_channel.iter().filter(|_| wanted).max_by(|one, other| one.1.total_cmp(other.1));
    let busiest_units = busiest.map_or(0.0, |(_, units)| units * scale);
    let write_units = write_units_table + write_units_index;
    let writing = args.max_wcu.map(|rate| write_units / rate);
    let reading = args.scan.max_rcu.map(|rate| read_units / rate);
    Report {
        table: info.table.clone(),
        key: info.key_names().cloned().collect(),
        capacity: spell(info.billing),
        index: info.index.as_ref().map(|index| index.status.as_str().to_owned()),
        index_wanted: wanted,
        point_in_time_recovery: recovery.name(),
        exact,
        looked_at: findings.items,
        items,
        to_write: scaled(findings.to_write, scale),
        rejects: scaled(findings.rejects, scale),
        right: scaled(findings.right, scale),
        read_units,
        write_units_table,
        write_units_index,
        cost: (write_units * args.price_write + read_units * args.price_read) / 1e6,
        seconds_at_rate: writing.into_iter().chain(reading).reduce(f64::max),
        seconds_floor: busiest_units / PARTITION_UNITS,
        busiest: busiest.map(|(name, _)| name.clone()),
        busiest_share: if by_channel > 0.0 { busiest_units / by_channel } else { 0.0 },
    }
}

fn scaled(count: u64, scale: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate of a count")]
    let scaled = (as_f64(count) * scale).round() as u64;
    scaled
}

fn spell(billing: Billing) -> String {
    match billing {
        Billing::OnDemand => "on demand".to_owned(),
        Billing::Provisioned { read, write, index_write } => {
            let index = index_write.map(|units| format!(", index {units} write")).unwrap_or_default();
            format!("provisioned: {read} read, {write} write{index} units a second")
        }
    }
}
