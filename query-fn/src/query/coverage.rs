//! Reads the ledger of a channel; [`shared::coverage`] describes its entries.

use codec::item::{Item, Value as Attribute};
use futures_util::future::try_join_all;
pub use shared::coverage::{Interval, State};
use shared::{
    coverage::{
        self, LONGEST,
        days::{DAY, LONGEST_DAY, days_channel},
    },
    table::{ID, NMICROTIMESTAMP},
};
use smol_str::format_smolstr;
use std::collections::BTreeSet;
use tokio::time::Instant;

use crate::query::expiry::Ledgers;
use crate::query::store::{Store, StoreError};
use crate::range::{END_OF_TIME, Order, Range, Subject};

/// The entries that are read behind the range at each of [`LATER`]: enough to include every daemon that writes at that time.
const LATER_ENTRIES: i32 = 16;
/// Times after the range's end, microseconds, at which later entries are read: a daemon that was down during the range enters its gap when
/// it is back.
const LATER: [u64; 5] = [0, HOUR, 24 * HOUR, 10 * 24 * HOUR, 100 * 24 * HOUR];
const HOUR: u64 = 3_600_000_000;
/// The fewest day entries that a page reads: about 4 KB, half a read unit.
const FEWEST_DAYS: i32 = 16;
/// The most daemons of one channel whose next entry is read.
const MAX_DAEMONS: usize = 16;

/// The coverage of a part of a channel's time, merged over all daemons.
pub struct Coverage {
    /// The intervals in order, without holes between `from` and `through`.
    pub intervals: Vec<Interval>,
    /// The last exchange time that the ledger was read for, microseconds since the Unix epoch.
    pub through: u64,
}

/// Reads the ledger of `channel` from `from` to `to`, inclusive, in at most `queries` pages. Where it has no entry, later entries are read
/// too: one of them may be a gap that began before the range.
///
/// # Errors
///
/// [`StoreError`] if one of the queries fails.
pub async fn read(
    ledgers: Ledgers<'_>,
    channel: &str,
    (from, to): (u64, u64),
    queries: usize,
    deadline: Instant,
) -> Result<Coverage, StoreError> {
    let store = ledgers.store;
    let border = to.saturating_add(LONGEST).min(END_OF_TIME);
    let closed = days(channel, from, to.saturating_add(LONGEST_DAY).min(END_OF_TIME));
    let ends = ledger(channel, from, border);
    let ((mut items, complete), (closed, all_closed), expired) = tokio::try_join!(
        read_ends(store, &ends, queries, deadline),
        read_ends(store, &closed, queries, deadline),
        ledgers.expired(channel, from, deadline)
    )?;
    let through =
        known(&items, complete, first_minute, (from, to)).min(known(&closed, all_closed, first_run, (from, to)));
    items.extend(closed);
    let merge = |items: &[Item]| {
        let recorded: Vec<_> = items.iter().filter_map(interval).collect();
        coverage::expire(coverage::merge(&recorded, from, through), &expired)
    };
    let mut intervals = merge(&items);
    if complete && border < END_OF_TIME && intervals.iter().any(|interval| interval.state == State::Unknown) {
        items.extend(later(store, channel, border, &items, deadline).await?);
        intervals = merge(&items);
    }
    Ok(Coverage { intervals, through })
}

/// Returns the last time of the range up to which `items`, sorted by their ends, have all entries. `first` returns the earliest possible
/// beginning of an entry with this end or a later one.
fn known(items: &[Item], complete: bool, first: fn(u64) -> u64, (from, to): (u64, u64)) -> u64 {
    let last_end = items.iter().rev().find_map(interval).map_or(from, |last| last.through);
    if complete { to } else { first(last_end).clamp(from, to) }
}

fn first_minute(end: u64) -> u64 {
    end.saturating_sub(LONGEST)
}

/// Returns the earliest beginning of a day entry with this end: an entry ends within its day, but its first minute may begin before it.
fn first_run(end: u64) -> u64 {
    first_minute(end / DAY * DAY)
}

/// Reads at most `most` entries of the ledger from `from` on, and a quarter as many day entries, so that the ledger costs a page no more than
/// its events.
///
/// # Errors
///
/// [`StoreError`] if one of the queries fails.
pub async fn read_some(
    ledgers: Ledgers<'_>,
    channel: &str,
    (from, to): (u64, u64),
    most: i32,
    deadline: Instant,
) -> Result<Coverage, StoreError> {
    let (minutes, closed) = (ledger(channel, from, END_OF_TIME), days(channel, from, END_OF_TIME));
    let most_days = (most / 4).max(FEWEST_DAYS);
    let store = ledgers.store;
    let ((mut items, complete), (closed, all_closed), expired) = tokio::try_join!(
        read_first(store, &minutes, most, deadline),
        read_first(store, &closed, most_days, deadline),
        ledgers.expired(channel, from, deadline)
    )?;
    let through =
        known(&items, complete, first_minute, (from, to)).min(known(&closed, all_closed, first_run, (from, to)));
    items.extend(closed);
    let recorded: Vec<_> = items.iter().filter_map(interval).collect();
    Ok(Coverage { intervals: coverage::expire(coverage::merge(&recorded, from, through), &expired), through })
}

/// Reads the first `most` items of a range; returns them, and true if the range has no more.
pub(crate) async fn read_first(
    store: &Store,
    range: &Range,
    most: i32,
    deadline: Instant,
) -> Result<(Vec<Item>, bool), StoreError> {
    let (mut items, mut start) = (Vec::new(), None);
    // An engine may end its pages before the limit.
    loop {
        let left = most.saturating_sub(i32::try_from(items.len()).unwrap_or(most));
        let answer = store.query(range, Some(left), start.take(), deadline).await?;
        items.extend(answer.items);
        start = answer.stopped_at;
        match start {
            None => return Ok((items, true)),
            Some(_) if items.len() >= usize::try_from(most).unwrap_or_default() => return Ok((items, false)),
            Some(_) => {}
        }
    }
}

/// Returns the range of the ledger entries of a channel that end between `from` and `to`.
pub(crate) fn ledger(channel: &str, from: u64, to: u64) -> Range {
    entries(coverage::ledger_channel(channel), from, to)
}

/// Returns the range of the day entries of a channel; the minutes of a closed day may have expired.
pub(crate) fn days(channel: &str, from: u64, to: u64) -> Range {
    entries(days_channel(channel), from, to)
}

fn entries(channel: String, from: u64, to: u64) -> Range {
    Range { subject: Subject::Channel(channel), from, to, order: Order::Ascending, said: None }
}

/// Reads the first entry behind `border` of each daemon that has entries in `items`, around one of [`LATER`], or at the ledger's end, be
/// they minutes or days. A daemon's entries follow each other without holes, so that entry is the one that covers a time before `border`.
async fn later(
    store: &Store,
    channel: &str,
    border: u64,
    items: &[Item],
    deadline: Instant,
) -> Result<Vec<Item>, StoreError> {
    let first_of = async |range: Range| store.query(&range, Some(LATER_ENTRIES), None, deadline).await;
    let probes = |entries: fn(&str, u64, u64) -> Range| {
        let begins = LATER.into_iter().map(|after| border.saturating_add(1).saturating_add(after));
        let begins = begins.filter(|from| *from <= END_OF_TIME).map(move |from| entries(channel, from, END_OF_TIME));
        let end = Range { order: Order::Descending, ..entries(channel, border.saturating_add(1), END_OF_TIME) };
        begins.chain([end])
    };
    let minutes = try_join_all(probes(ledger).map(first_of));
    let (minutes, closed) = tokio::try_join!(minutes, try_join_all(probes(days).map(first_of)))?;
    let mut later: Vec<_> = minutes.into_iter().flat_map(|answer| answer.items).collect();
    // Of a daemon all of whose minutes there became days, the gaps are still among the minutes.
    let closed: Vec<_> = closed.into_iter().flat_map(|answer| answer.items).collect();
    let known = items.iter().chain(&later).chain(&closed);
    let daemons: BTreeSet<_> = known.filter_map(|item| item.number(ID).map(str::to_owned)).collect();
    let next = daemons.into_iter().take(MAX_DAEMONS).map(async |daemon| {
        let subject = Subject::Order(daemon);
        let range =
            Range { subject, from: border.saturating_add(1), to: END_OF_TIME, order: Order::Ascending, said: None };
        store.query(&range, Some(1), None, deadline).await
    });
    later.extend(try_join_all(next).await?.into_iter().flat_map(|answer| answer.items));
    Ok(later)
}

/// Parses a ledger entry; returns `None` for any other item.
fn interval(item: &Item) -> Option<Interval> {
    let time = |name: &str| item.number(name)?.parse().ok();
    let state = State::recorded(item.text("state")?)?;
    let reason = item.text("reason").map(str::to_owned);
    Some(Interval { from: time("from")?, through: time(NMICROTIMESTAMP)?, state, reason })
}

/// Reads a range in at most `queries` pages; returns its items, and true if the range has no more.
async fn read_ends(
    store: &Store,
    range: &Range,
    queries: usize,
    deadline: Instant,
) -> Result<(Vec<Item>, bool), StoreError> {
    let mut items = Vec::new();
    let mut start = None;
    for _ in 0..queries.max(1) {
        let answer = store.query(range, None, start.take(), deadline).await?;
        items.extend(answer.items);
        start = answer.stopped_at;
        if start.is_none() {
            return Ok((items, true));
        }
    }
    Ok((items, false))
}

/// Returns the item of `/coverage` for an interval.
#[must_use]
pub fn item(interval: &Interval, channel: &str) -> Item {
    let time = |time: u64| Attribute::Number(format_smolstr!("{time}"));
    let reason = interval.reason.as_deref().map_or(Attribute::Null, |reason| Attribute::Text(reason.into()));
    Item::of(vec![
        ("channel".into(), Attribute::Text(channel.into())),
        ("from".into(), time(interval.from)),
        ("through".into(), time(interval.through)),
        ("state".into(), Attribute::Text(interval.state.name().into())),
        ("reason".into(), reason),
    ])
}
