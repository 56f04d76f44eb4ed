//! Finds what may be missing in the time that a page covers. The ledger is read after the page, when that time is known; a ledger that does
//! not answer neither fails nor delays the page.

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use shared::table::CHANNEL;
use tokio::time::Instant;

use crate::query::coverage::{self, Coverage, State};
use crate::query::expiry::Ledgers;
use crate::query::page::Row;
use crate::query::reader::AT_ONCE;
use crate::query::store::StoreError;
use crate::range::{self, END_OF_TIME, Order, Position, Range, Subject};

/// The fewest and the most ledger entries that are read for a page: about as many as it has events, so that the ledger costs no more than
/// the page. The fewest are 8 KB, one read unit.
const ENTRIES: std::ops::RangeInclusive<usize> = 32..=256;
/// The entries that are read for a moment, which one event covers: those of several daemons, and half of the fewest for a page.
const OF_A_MOMENT: usize = 16;

/// The most intervals that one answer lists.
const MOST: usize = 1_000;

/// The value of `Gaps` of a page.
#[derive(Debug, Default)]
pub struct Gaps {
    /// The gaps and the expired, unknown and unread intervals, by their beginning.
    pub list: Vec<Value>,
    /// True if the same page may have other gaps or fewer events the next time: the ledger could not be read, or events of this time have
    /// expired.
    pub may_change: bool,
}

impl Gaps {
    /// Keeps the first of many intervals; the rest, up to `to`, becomes one unread interval.
    #[must_use]
    pub fn shortened(mut self, to: u64) -> Gaps {
        if let Some(from) = self.list.get(MOST).and_then(|first| first.get("from")?.as_u64()) {
            self.list.truncate(MOST);
            self.list.push(gap(from, to, "unread", Some("more stretches than one answer lists; /coverage lists them")));
        }
        self
    }

    /// Adds the channel to each interval.
    fn named(mut self, channel: &str) -> Gaps {
        for gap in self.list.iter_mut().filter_map(Value::as_object_mut) {
            gap.insert("channel".to_owned(), channel.into());
        }
        self
    }
}

/// Reads what may be missing on the channels in the time that a page covers: `rows` of the range behind `after`; `more` is true if another
/// page follows.
pub async fn read(
    ledgers: Ledgers<'_>,
    (range, after): (&Range, Option<&Position>),
    channels: &[String],
    (rows, more): (&[Row], bool),
    deadline: Instant,
) -> Gaps {
    let order_channel = || rows.first()?.item.text(CHANNEL).map(str::to_owned);
    let channels: Vec<_> = match range.subject {
        Subject::Channel(_) => channels.to_vec(),
        Subject::Order(_) => order_channel().into_iter().collect(),
    };
    let Some(ends) = covered(range, after, rows, more) else { return Gaps::default() };
    let most = rows.len().min(*ENTRIES.end());
    between(ledgers, &channels, ends, most, deadline.min(ledgers.deadline())).await
}

/// Reads what may be missing on each of the channels between `ends`, inclusive, from about `most` entries of their ledgers, or
/// the fewest that are worth a read. With several channels each interval names its own.
pub async fn between(
    ledgers: Ledgers<'_>,
    channels: &[String],
    ends: (u64, u64),
    most: usize,
    deadline: Instant,
) -> Gaps {
    let fewest = if ends.0 == ends.1 { OF_A_MOMENT } else { *ENTRIES.start() };
    let most = (most / channels.len().max(1)).max(fewest);
    let most = i32::try_from(most).unwrap_or(i32::MAX);
    let reads: Vec<_> =
        channels.iter().map(|channel| coverage::read_some(ledgers, channel, ends, most, deadline)).collect();
    let read: Vec<_> = stream::iter(reads).buffered(AT_ONCE).collect().await;
    let gaps = |(channel, read): (&String, _)| {
        let gaps = of(read, ends);
        if channels.len() > 1 { gaps.named(channel) } else { gaps }
    };
    let all: Vec<_> = channels.iter().zip(read).map(gaps).collect();
    let may_change = all.iter().any(|gaps| gaps.may_change);
    let mut list: Vec<_> = all.into_iter().flat_map(|gaps| gaps.list).collect();
    list.sort_by_key(|gap| gap.get("from").and_then(Value::as_u64));
    Gaps { list, may_change }
}

/// Returns the gaps in a coverage that was read from `from` to `to`; after an error, one unread interval.
pub(crate) fn of(read: Result<Coverage, StoreError>, (from, to): (u64, u64)) -> Gaps {
    match read {
        Ok(coverage) => {
            let may_change = coverage.intervals.iter().any(|interval| interval.state == State::Expired);
            Gaps { list: list(&coverage, to), may_change }
        }
        Err(error) => {
            tracing::warn!(%error, "answer without ledger");
            Gaps { list: vec![gap(from, to, "unread", Some("the ledger did not answer"))], may_change: true }
        }
    }
}

/// Returns the time that a page covers, both ends inclusive. Where the caller set no end, the page's own events are the end; returns `None`
/// if it has none.
fn covered(range: &Range, after: Option<&Position>, rows: &[Row], more: bool) -> Option<(u64, u64)> {
    let (first, last) = (rows.first(), rows.last());
    let time = |row: Option<&Row>| row.map(|row| row.position.time);
    let is_order = matches!(range.subject, Subject::Order(_));
    let begin = Some(range.from).filter(|from| *from > 0 && !is_order);
    let end = Some(range.to).filter(|to| *to < END_OF_TIME && !is_order);
    let after = after.map(|after| after.time);
    let last_of_more = time(last).filter(|_| more);
    let (from, to) = match range.order {
        Order::Ascending => {
            (after.or(begin).or(time(first)), last_of_more.or(end).or(time(last)).or_else(|| Some(range::now())))
        }
        Order::Descending => {
            (last_of_more.or(begin).or(time(last)), after.or(end).or(time(first)).or_else(|| Some(range::now())))
        }
    };
    let (from, to) = (from?, to?);
    (from <= to).then_some((from, to))
}

fn list(coverage: &Coverage, to: u64) -> Vec<Value> {
    let uncertain = coverage.intervals.iter().filter(|interval| interval.state < State::Filled);
    let mut list: Vec<_> = uncertain
        .map(|interval| gap(interval.from, interval.through, interval.state.name(), interval.reason.as_deref()))
        .collect();
    if coverage.through < to {
        let reason = "the ledger has more entries than a page reads; /coverage reads them";
        list.push(gap(coverage.through + 1, to, "unread", Some(reason)));
    }
    list
}

fn gap(from: u64, through: u64, state: &str, reason: Option<&str>) -> Value {
    json!({ "from": from, "through": through, "state": state, "reason": reason })
}
