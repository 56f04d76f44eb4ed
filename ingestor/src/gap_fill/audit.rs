//! Audits trades: compares the exchange's trades since the last audit with the table.

use std::collections::HashSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;
use shared::channel::Channel;
use shared::coverage::{self, State};
use shared::item::Item;

use crate::exchange::rest::Rows;
use crate::gap_fill::context::FillContext;
use crate::gap_fill::context::entry_of_ledger;
use crate::gap_fill::error::FillError;
use crate::gap_fill::gaps::Gap;
use crate::store::twins;

const SECOND: u64 = 1_000_000;
/// How far back the exchange's answer for an hour is relied upon, in microseconds.
const HOUR: u64 = 55 * 60 * SECOND;
/// How far back its answer for a day is relied upon, in microseconds.
const DAY: u64 = 23 * 3_600 * SECOND;
/// Largest difference between the time under which a trade is stored and the second that the exchange's history gives
/// it, in microseconds.
const MARGIN: u64 = 2 * SECOND;
/// Age at which an audit gives up a trade that is not in the table and whose time is not in the ledger yet, in microseconds.
const PATIENCE: u64 = 10 * 60 * SECOND;
/// Reason of a gap that the audit found.
const REASON: &str = "the exchange's history has a trade that was not sent";

/// Fields of `GET /transactions/` that an audit needs.
#[derive(Deserialize)]
struct AuditRow {
    date: String,
    tid: String,
}

/// A trade of the exchange's history.
struct Listed {
    id: String,
    /// Time in whole seconds by the exchange's clock, in microseconds since the Unix epoch.
    second: u64,
}

/// Returns the time at which the first audit begins. `now`: microseconds since the Unix epoch.
pub(super) fn first(now: u64) -> u64 {
    now.saturating_sub(HOUR - 1)
}

/// Trades that the table lacks.
#[derive(Default)]
struct Found {
    /// Missing trades in the order of time.
    missing: Vec<Listed>,
    /// Second of the first trade that is not in the table while the ledger does not cover its time.
    undecided: Option<u64>,
}

/// Compares the exchange's trades from `since` (microseconds since the Unix epoch) until `fill_after` ago with the table. Counts
/// trades that the table lacks although the ledger calls their time captured or filled, and declares their minutes gaps.
/// Returns the time up to which trades are compared, and the gaps.
///
/// Reads the channel's hour from the index (half a read unit for 4 KB, a dozen trades), and each trade that is not found once
/// more from the table.
pub(super) async fn audit(context: &FillContext, channel: &Channel, since: u64) -> Result<(u64, Vec<Gap>), FillError> {
    let now = context.now();
    let until = now.saturating_sub(micros(context.after));
    let look = if now.saturating_sub(since) < HOUR { "hour" } else { "day" };
    let since = since.max(now.saturating_sub(DAY));
    let rows = listed(context, channel, look, (since, until)).await?;
    let Found { missing, undecided } = missing(context, channel, rows, (since, until)).await?;
    let until = undecided.map_or(until, |second| second.max(now.saturating_sub(PATIENCE)).min(until));
    let Some(first) = missing.first() else { return Ok((until, Vec::new())) };
    let (count, id, time) = (missing.len(), first.id.as_str(), first.second);
    tracing::warn!(%channel, count, id, time, "trades that the exchange lists are not in the table");
    context.status.audit_missing.add(missing.len() as u64);
    Ok((until, withdraw(context, channel, &missing).await?))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Reads the exchange's trades of a time span.
async fn listed(
    context: &FillContext,
    channel: &Channel,
    look: &str,
    span: (u64, u64),
) -> Result<Vec<Listed>, FillError> {
    let market = channel.market().unwrap_or_default();
    let mut rows = Rows::of(context.rest.get(&format!("/transactions/{market}/?time={look}")).await?);
    let mut listed = Vec::new();
    while let Some(AuditRow { date, tid }) = rows.next::<AuditRow>().await? {
        let date: u64 = date
            .parse()
            .map_err(|_| FillError::Later("the exchange's answer has a trade without a date".to_owned()))?;
        let second = date.saturating_mul(SECOND);
        if (span.0..span.1).contains(&second) {
            listed.push(Listed { id: tid, second });
        }
    }
    Ok(listed)
}

/// Returns those of the trades that the table lacks although the ledger covers their time.
async fn missing(
    context: &FillContext,
    channel: &Channel,
    rows: Vec<Listed>,
    span: (u64, u64),
) -> Result<Found, FillError> {
    let (from, through) = (span.0.saturating_sub(MARGIN), span.1 + MARGIN);
    let there: HashSet<String> = context.reader.ids(channel.as_str(), from, through).await.map_err(FillError::Later)?;
    let absent: Vec<_> = rows.into_iter().filter(|row| !there.contains(&row.id)).collect();
    let mut found = Found::default();
    if absent.is_empty() {
        return Ok(found);
    }
    let ledger = context.reader.ledger(channel.as_str(), from).await.map_err(FillError::Later)?;
    let merged = coverage::merge(&ledger, from, through + SECOND);
    for row in absent {
        // A second at the border of a gap may belong to the gap.
        let (from, through) = (row.second, row.second + SECOND - 1);
        let here = merged.iter().filter(|interval| interval.from <= through && interval.through >= from);
        let states: Vec<_> = here.map(|interval| interval.state).collect();
        if states.contains(&State::Unknown) {
            found.undecided = Some(found.undecided.map_or(row.second, |first| first.min(row.second)));
        } else if !states.contains(&State::Gap) {
            // The index may be behind the table.
            let copies = twins::look(&context.reader, channel, &row.id).await;
            if !copies.map_err(|error| FillError::Later(error.to_string()))?.any() {
                found.missing.push(row);
            }
        }
    }
    found.missing.sort_unstable_by_key(|row| row.second);
    Ok(found)
}

/// Declares gaps where a trade is missing although the ledger calls its time captured, whichever daemon did so. Returns
/// the gaps.
async fn withdraw(context: &FillContext, channel: &Channel, missing: &[Listed]) -> Result<Vec<Gap>, FillError> {
    let since = missing.first().map_or(0, |row| row.second);
    let items = context.reader.ledger_items(channel.as_str(), since).await.map_err(FillError::Later)?;
    let mut gaps = Vec::new();
    for item in items {
        let Some(interval) = coverage::interval(&item) else { continue };
        let lies_in = |row: &Listed| interval.from < row.second + SECOND && interval.through >= row.second;
        if !missing.iter().any(lies_in) {
            continue;
        }
        if interval.state == State::Captured {
            enter(context, channel, item).await?;
        }
        if interval.state != State::Gap {
            gaps.push(Gap { from: interval.from, through: interval.through });
        }
    }
    gaps.sort_unstable();
    gaps.dedup();
    Ok(gaps)
}

/// Writes an entry of the ledger again, under its key, as a gap.
async fn enter(context: &FillContext, channel: &Channel, mut item: Item) -> Result<(), FillError> {
    item.insert("state".to_owned(), AttributeValue::S(State::Gap.name().to_owned()));
    item.insert("reason".to_owned(), AttributeValue::S(REASON.to_owned()));
    let Some(entry) = entry_of_ledger(channel, item) else { return Ok(()) };
    match context.writer.write(vec![entry]).await.refused.first() {
        None => {
            context.status.gaps.add(1);
            Ok(())
        }
        Some((entry, reason)) => Err(FillError::Refused(format!("the table refuses {:?}: {reason}", entry.key))),
    }
}
