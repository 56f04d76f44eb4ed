//! Reads the coverage ledger of a channel: the reserved channel `_coverage:<channel>`, one item for each stretch of time of
//! each daemon.
//!
//! | attribute | type | meaning |
//! |---|---|---|
//! | `channel` | S | `_coverage:<channel>` |
//! | `nmicrotimestamp` | N | the end of the stretch, inclusive, microseconds since the Unix epoch by the daemon's clock |
//! | `from` | N | its beginning, inclusive |
//! | `state` | S | `captured`, `filled` (fetched again afterwards) or `gap` |
//! | `reason` | S | of a gap: why |
//! | `frames` | N | received meanwhile |
//! | `id`, `microtimestamp` | N, S | any key that is unique for daemon, channel and stretch |
//!
//! A `captured` or `filled` stretch is at most a minute long, so whoever reads all ends up to a minute after a moment knows
//! all of them that contain it; a gap may be of any length. Stretches that touch (next `from` = `through` or one more) are
//! one. Of several daemons the best counts: captured, then filled, then gap. Where there is no item nothing is known.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::{item::Item, table::NMICROTIMESTAMP};
use std::collections::BTreeSet;
use tokio::time::Instant;

use crate::{
    render::Columns,
    request::{Order, Range, Subject, parameters::END_OF_TIME},
    store::{Store, StoreError},
};

/// The CSV columns of `/coverage`.
pub const COLUMNS: Columns = &["channel", "from", "through", "state", "reason"];

/// The longest stretch that is `captured` or `filled`.
const LONGEST: u64 = 60_000_000;
/// A gap may have begun long before and end long after: so many later ends are looked at for one.
const LATER: i32 = 16;

/// What is known of a stretch, the best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// No record.
    Unknown,
    /// Frames may have been missed.
    Gap,
    /// Missed, then fetched from the exchange.
    Filled,
    /// Everything the exchange sent was received.
    Captured,
}

impl State {
    /// As in the ledger and in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Unknown => "unknown",
            State::Gap => "gap",
            State::Filled => "filled",
            State::Captured => "captured",
        }
    }
}

/// A stretch of time, both ends inclusive, microseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// First microsecond.
    pub from: u64,
    /// Last microsecond.
    pub through: u64,
    /// What is known of it.
    pub state: State,
    /// Why, for a gap.
    pub reason: Option<String>,
}

/// What the ledger says about a part of a channel's time.
pub struct Coverage {
    /// In order, without holes between `from` and `through`.
    pub stretches: Vec<Stretch>,
    /// The last moment that the ledger was read for.
    pub through: u64,
}

/// Reads the ledger of `channel` from `from` to `to`, at most `queries` pages of it.
///
/// # Errors
///
/// [`StoreError`].
pub async fn read(
    store: &Store,
    channel: &str,
    (from, to): (u64, u64),
    queries: usize,
    deadline: Instant,
) -> Result<Coverage, StoreError> {
    let subject = Subject::Channel(format!("_coverage:{channel}"));
    let border = to.saturating_add(LONGEST).min(END_OF_TIME);
    let ends = Range { subject, from, to: border, order: Order::Ascending };
    let later = Range { from: border.saturating_add(1), to: END_OF_TIME + 1, ..ends.clone() };
    let (ends, later) = tokio::try_join!(read_ends(store, &ends, queries, deadline), async {
        store.query(&later, Some(LATER), None, deadline).await
    })?;
    let (mut items, complete) = ends;
    let last_end = items.last().and_then(|item| number(item, NMICROTIMESTAMP)).unwrap_or(from);
    let through = if complete { to } else { last_end.saturating_sub(LONGEST).clamp(from, to) };
    items.extend(later.items);
    let recorded: Vec<_> = items.iter().filter_map(stretch).collect();
    Ok(Coverage { stretches: merge(&recorded, from, through), through })
}

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

/// The recorded gaps from `from` to `to`, as `Gaps` shows them.
#[must_use]
pub fn gaps(coverage: &Coverage, from: u64, to: u64) -> Vec<Value> {
    let gaps = coverage.stretches.iter().filter(|stretch| stretch.state == State::Gap);
    gaps.filter(|gap| gap.from <= to && gap.through >= from)
        .map(|gap| json!({ "from": gap.from.max(from), "through": gap.through.min(to), "reason": gap.reason }))
        .collect()
}

/// As an item of `/coverage`.
#[must_use]
pub fn item(stretch: &Stretch, channel: &str) -> Item {
    let reason = stretch.reason.clone().map_or(AttributeValue::Null(true), AttributeValue::S);
    Item::from([
        ("channel".to_owned(), AttributeValue::S(channel.to_owned())),
        ("from".to_owned(), AttributeValue::N(stretch.from.to_string())),
        ("through".to_owned(), AttributeValue::N(stretch.through.to_string())),
        ("state".to_owned(), AttributeValue::S(stretch.state.name().to_owned())),
        ("reason".to_owned(), reason),
    ])
}

fn number(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn stretch(item: &Item) -> Option<Stretch> {
    let state = item.get("state")?.as_s().ok()?;
    let state = [State::Gap, State::Filled, State::Captured].into_iter().find(|known| known.name() == state)?;
    let reason = item.get("reason").and_then(|reason| reason.as_s().ok()).cloned();
    Some(Stretch { from: number(item, "from")?, through: number(item, NMICROTIMESTAMP)?, state, reason })
}

/// The best that is known of each moment from `from` to `to`, in as few stretches as possible.
fn merge(recorded: &[Stretch], from: u64, to: u64) -> Vec<Stretch> {
    let inside = |stretch: &&Stretch| stretch.from <= to && stretch.through >= from;
    let inside: Vec<_> = recorded.iter().filter(inside).collect();
    let mut borders = BTreeSet::from([from, to.saturating_add(1)]);
    for stretch in &inside {
        borders.insert(stretch.from.max(from));
        borders.insert(stretch.through.min(to).saturating_add(1));
    }
    let borders: Vec<_> = borders.into_iter().collect();
    let mut merged: Vec<Stretch> = Vec::new();
    for (start, end) in borders.iter().zip(borders.iter().skip(1)) {
        let here = inside.iter().filter(|stretch| stretch.from <= *start && stretch.through >= end - 1);
        let best = here.max_by_key(|stretch| stretch.state);
        let state = best.map_or(State::Unknown, |best| best.state);
        let reason = best.filter(|best| best.state == State::Gap).and_then(|best| best.reason.clone());
        match merged.last_mut().filter(|last| (last.state, &last.reason) == (state, &reason)) {
            Some(last) => last.through = end - 1,
            None => merged.push(Stretch { from: *start, through: end - 1, state, reason }),
        }
    }
    merged
}
