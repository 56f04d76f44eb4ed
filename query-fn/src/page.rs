//! A client that follows tokens gets every event of its range once, in one total order: `nmicrotimestamp`, then
//! `received_at`, then the primary key. The engine orders by `nmicrotimestamp` alone and keeps any order among equal times
//! ("ties"), and its pages end anywhere, also between two events of one tie. Hence:
//!
//! - What the engine returned is cut back to the last time that certainly is complete, then sorted. Only where one tie is all
//!   there is, more is read until it ends.
//! - A token is a [`crate::page::Position`] in the total order, not a key of the engine. Reading on queries from the position's time on,
//!   inclusive, and passes over what is not after the position: at most one tie is read twice.
//! - Events stored meanwhile appear if they are after the position and do not if they are before it; either way nothing is
//!   shown twice and nothing else is missed.
//! - Something is left behind the cut whenever the engine stopped early, so `next` is set exactly when there is more.

use codec::item::Item;
use shared::{
    channel::{Channel, Family},
    table::{CHANNEL, ID, MICROTIMESTAMP, NMICROTIMESTAMP, RECEIVED_AT},
};
use smol_str::SmolStr;
use std::{cmp::Ordering, fmt};
use tokio::time::Instant;

use crate::{
    request::{Order, Range, Subject},
    store::{Store, StoreError},
};

/// A place in the total order: right after this event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// `nmicrotimestamp`: microseconds since the Unix epoch by the exchange's clock.
    pub time: u64,
    /// Microseconds since the Unix epoch by the daemon's clock; 0 in tables of the first system, which has none.
    pub received_at: u64,
    /// The partition key's digits.
    pub id: SmolStr,
    /// The whole sort key.
    pub sort: SmolStr,
}

impl Ord for Position {
    fn cmp(&self, other: &Position) -> Ordering {
        let numbers = |position: &Position| (position.time, position.received_at, position.id.len());
        // Ids are digits without leading zeros, so length before text is numeric order.
        numbers(self).cmp(&numbers(other)).then_with(|| (&self.id, &self.sort).cmp(&(&other.id, &other.sort)))
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Position) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Position {
    /// Reads what [`Position`]'s `Display` wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Position> {
        let mut parts = text.splitn(4, '|');
        let mut next = || parts.next();
        let (time, received_at, id, sort) = (next()?, next()?, next()?, next()?);
        Some(Position {
            time: time.parse().ok()?,
            received_at: received_at.parse().ok()?,
            id: id.into(),
            sort: sort.into(),
        })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}|{}|{}", self.time, self.received_at, self.id, self.sort)
    }
}

/// An event and where it stands.
pub struct Row {
    /// Where it stands in the total order.
    pub position: Position,
    /// Its attributes.
    pub item: Item,
}

/// A part of the range, in order.
pub struct Page {
    /// The events.
    pub rows: Vec<Row>,
    /// Where the next page begins, exactly when there is more.
    pub next: Option<Position>,
    /// The page is shorter than it would be because the store or the time gave out.
    pub cut_short: bool,
}

/// Read past the limit, so that as a rule one Query settles where its last tie ends: no more than 45 events were seen within
/// one millisecond on the busiest channel.
const LOOKAHEAD: usize = 48;

/// Reads the page after `after`: what one Query returns (1 MB), or `limit` events.
///
/// # Errors
///
/// [`StoreError`] if the store did not answer before anything could be returned. If it fails later, what was read is a
/// page, shorter than usual.
pub async fn read(
    store: &Store,
    range: &Range,
    after: Option<&Position>,
    limit: Option<usize>,
    deadline: Instant,
) -> Result<Page, StoreError> {
    let engine_limit = limit.map(|limit| i32::try_from(limit.saturating_add(LOOKAHEAD)).unwrap_or(i32::MAX));
    let order = range.order;
    let wanted = |row: &Row| {
        is_subject(&range.subject, &row.item) && after.is_none_or(|after| order.is_before(after, &row.position))
    };
    let span = rest(range, after);
    let mut rows: Vec<Row> = Vec::new();
    let mut start = None;
    loop {
        let answer = match store.query(&span, engine_limit, start.take(), deadline).await {
            Ok(answer) => answer,
            Err(error) if settled(&rows) == 0 => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "page ends early");
                break Ok(Page { cut_short: true, ..cut(rows, true, order, limit) });
            }
        };
        let full = engine_limit.is_some_and(|limit| i32::try_from(answer.items.len()) == Ok(limit));
        rows.extend(answer.items.into_iter().map(Row::from).filter(wanted));
        let Some(stopped_at) = answer.stopped_at else { break Ok(cut(rows, false, order, limit)) };
        let enough = match limit {
            Some(limit) if full => settled(&rows) >= limit,
            _ => settled(&rows) > 0,
        };
        if enough {
            break Ok(cut(rows, true, order, limit));
        }
        start = Some(stopped_at);
    }
}

/// What is left of the range; times before the position's are done.
fn rest(range: &Range, after: Option<&Position>) -> Range {
    let mut rest = range.clone();
    match (after, range.order) {
        (None, _) => {}
        (Some(after), Order::Ascending) => rest.from = range.from.max(after.time),
        (Some(after), Order::Descending) => rest.to = range.to.min(after.time),
    }
    rest
}

/// Trades, books and the daemon's own items may have the same number for an id as an order has.
fn is_subject(subject: &Subject, item: &Item) -> bool {
    match subject {
        Subject::Channel(_) => true,
        Subject::Order(_) => item
            .text(CHANNEL)
            .is_some_and(|channel| Channel::from_frame(channel.to_owned()).family() == Family::LiveOrders),
    }
}

/// How many rows stand before the last time seen, which may have more.
fn settled(rows: &[Row]) -> usize {
    let Some(last) = rows.last() else { return 0 };
    rows.partition_point(|row| row.position.time != last.position.time)
}

/// Sorts and keeps what is certain and within the limit.
fn cut(mut rows: Vec<Row>, stopped: bool, order: Order, limit: Option<usize>) -> Page {
    let certain = if stopped { settled(&rows) } else { rows.len() };
    let keep = certain.min(limit.unwrap_or(usize::MAX));
    let more = rows.len() > keep;
    rows.truncate(certain);
    rows.sort_by(|left, right| order.compare(&left.position, &right.position));
    rows.truncate(keep);
    let next = if more { rows.last().map(|row| row.position.clone()) } else { None };
    Page { rows, next, cut_short: false }
}

impl From<Item> for Row {
    fn from(item: Item) -> Row {
        let position = Position {
            time: number(&item, NMICROTIMESTAMP),
            received_at: number(&item, RECEIVED_AT),
            id: item.number(ID).unwrap_or_default().into(),
            sort: item.text(MICROTIMESTAMP).unwrap_or_default().into(),
        };
        Row { position, item }
    }
}

fn number(item: &Item, name: &str) -> u64 {
    item.number(name).and_then(|digits| digits.parse().ok()).unwrap_or_default()
}
