//! Compacts the ledger of closed days, so that a year of it stays hundreds of entries.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use shared::channel::Channel;
use shared::coverage::days::{DAY, Run, days_channel, runs};
use shared::coverage::{Record, interval};
use shared::item::{EXPIRES, Item};
use shared::table::CHANNEL;
use shared::time::Micros;

use crate::gap_fill::context::FillContext;
use crate::gap_fill::context::entry_of_ledger;
use crate::gap_fill::error::FillError;
use crate::store::batch::{BatchEntry, MAX_ITEMS};

/// Interval between two looks for a day that is due.
const EVERY: Duration = Duration::from_secs(6 * 3_600);
/// Delay between a day's end and its compaction, in microseconds: gaps are filled, and trades compared, for one day.
const AFTER: u64 = 2 * DAY;
/// How far back a daemon looks for days that are not compacted, at its start, in days.
const REACH: u64 = 31;
/// How long the minutes stay beside the day's entry, in seconds.
const KEPT: u64 = 3 * 86_400;

/// Compacts the closed days of a channel: writes each run of minutes that this daemon captured on a day as one entry,
/// and then lets the minutes expire. `compacted`: by channel the first day that is not compacted yet, since the Unix
/// epoch. Returns the wait until the next look.
///
/// Each step may be repeated: the same minutes make the same entry, and minutes that expire and that an entry has taken the place of are not
/// looked at again.
pub(super) async fn compact(
    context: &FillContext,
    compacted: &mut BTreeMap<Channel, u64>,
    channel: &Channel,
) -> Result<Duration, FillError> {
    let end = context.now().saturating_sub(AFTER) / DAY;
    let begin = compacted.get(channel).copied().unwrap_or_else(|| end.saturating_sub(REACH));
    for day in begin..end {
        let span = (day * DAY, (day + 1) * DAY - 1);
        let items =
            context.reader.captured_by(&context.daemon, channel.as_str(), span).await.map_err(FillError::Later)?;
        let items = not_replaced(items, channel);
        let records: Vec<_> = items.iter().filter_map(Record::of).collect();
        let runs = runs(&records);
        for run in &runs {
            write(context, vec![entry(run)]).await?;
        }
        supersede(context, channel, items, &runs).await?;
        if !runs.is_empty() {
            let entries: u64 = runs.iter().map(|run| run.entries).sum();
            tracing::info!(%channel, from = span.0, entries, runs = runs.len(), "ledger's day put together");
        }
        compacted.insert(channel.clone(), day + 1);
    }
    Ok(EVERY)
}

/// Returns the minutes without those that expire and that an entry of their day has taken the place of. Others may expire too, where items are not
/// kept for ever.
fn not_replaced(items: Vec<Item>, channel: &Channel) -> Vec<Item> {
    let days = days_channel(channel.as_str());
    let is_day = |item: &Item| item.get(CHANNEL).and_then(|name| name.as_s().ok()) == Some(&days);
    let (days, minutes): (Vec<_>, Vec<_>) = items.into_iter().partition(is_day);
    let days: Vec<_> = days.iter().filter_map(interval).collect();
    let is_covered = |item: &Item| {
        let Some(minute) = interval(item) else { return false };
        days.iter().any(|day| day.from <= minute.from && minute.through <= day.through)
    };
    minutes.into_iter().filter(|item| !(item.contains_key(EXPIRES) && is_covered(item))).collect()
}

/// Writes the entries that the runs replace once more, with the time when they expire.
async fn supersede(context: &FillContext, channel: &Channel, items: Vec<Item>, runs: &[Run]) -> Result<(), FillError> {
    let soon = context.now() / 1_000_000 + KEPT;
    let covered = |item: &Item| interval(item).is_some_and(|interval| runs.iter().any(|run| run.covers(&interval)));
    let mut entries: Vec<_> = items
        .into_iter()
        .filter(covered)
        .filter_map(|mut item| {
            let expires = item.get(EXPIRES).and_then(|expires| expires.as_n().ok()?.parse().ok());
            let expires = expires.map_or(soon, |expires: u64| expires.min(soon));
            item.insert(EXPIRES.to_owned(), AttributeValue::N(expires.to_string()));
            entry_of_ledger(channel, item)
        })
        .collect();
    while !entries.is_empty() {
        let rest = entries.split_off(entries.len().min(MAX_ITEMS));
        write(context, std::mem::replace(&mut entries, rest)).await?;
    }
    Ok(())
}

async fn write(context: &FillContext, entries: Vec<BatchEntry>) -> Result<(), FillError> {
    match context.writer.write(entries).await.refused.first() {
        None => Ok(()),
        Some((entry, reason)) => Err(FillError::Refused(format!("the table refuses {:?}: {reason}", entry.key))),
    }
}

fn entry(run: &Run) -> BatchEntry {
    let channel = Channel::from_frame(days_channel(&run.record.channel));
    let time = Micros(run.record.interval.through);
    BatchEntry::of_item(run.key(), channel, time, run.to_item())
}
