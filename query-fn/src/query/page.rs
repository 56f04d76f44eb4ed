//! Reads one page of a range.
//!
//! A client that follows tokens gets every event of its range once, in one total order: `nmicrotimestamp`, then
//! `received_at`, then the primary key. An event is an item of its own, or one of many in a block, or both, or in the blocks of two
//! daemons. The engine orders by `nmicrotimestamp` alone and keeps any order among equal times ("ties"), its pages end
//! anywhere, also between two events of one tie, and a block begins before its events end. Hence:
//!
//! - A [`Feed`] reads items (`singles`) and blocks (`blocks`) side by side. Each knows the time before which it has everything; what is
//!   before both is certain. It is sorted, and of the copies of an event one is kept (`copies`). So ties are never cut.
//! - A token is a [`Position`] in the total order, not a key of the engine. Reading on queries from the position's time on,
//!   inclusive, and passes over what is not after the position: at most one tie is read twice.
//! - Events stored meanwhile appear if they are after the position and do not if they are before it; either way nothing is
//!   shown twice and nothing else is missed.
//! - A page ends early only where an event behind its end was seen, so `next` is set exactly when there is more.

use codec::item::Item;
use shared::{
    channel::{Channel, Family},
    table::{CHANNEL, ID, MICROTIMESTAMP, NMICROTIMESTAMP, RECEIVED_AT},
};
use tokio::time::Instant;

use crate::query::store::{Store, StoreError};
use crate::range::{Order, Position, Range, Subject};

mod blocks;
mod copies;
mod doubles;
mod feed;
mod singles;

pub use blocks::{extent, newest};
pub use feed::Feed;

/// An event and its position.
pub struct Row {
    /// The position in the total order.
    pub position: Position,
    /// The attributes of the event.
    pub item: Item,
}

/// A part of a range, in its order.
pub struct Page {
    /// The events, sorted.
    pub rows: Vec<Row>,
    /// The position behind which the next page begins; `None` at the end of the range.
    pub next: Option<Position>,
    /// True if the store or the deadline ended the page early.
    pub cut_short: bool,
    /// The number of events that both the first system and the daemon stored, under two keys, and that are shown once.
    pub doubles: usize,
}

/// Reads the page behind `after`: what one Query returns (1 MB), or `limit` events, or what fits into an answer.
///
/// # Errors
///
/// [`StoreError`] if the store fails before an event could be returned. If it fails later, the events read so far are a shorter page.
pub async fn read(
    store: &Store,
    range: &Range,
    after: Option<&Position>,
    limit: Option<usize>,
    deadline: Instant,
) -> Result<Page, StoreError> {
    Feed::new(range, after.cloned()).page(store, limit, deadline).await
}

/// Returns the rest of the range, from the position's time on, inclusive.
pub(crate) fn rest(range: &Range, after: Option<&Position>) -> Range {
    let mut rest = range.clone();
    match (after, range.order) {
        (None, _) => {}
        (Some(after), Order::Ascending) => rest.from = range.from.max(after.time),
        (Some(after), Order::Descending) => rest.to = range.to.min(after.time),
    }
    rest
}

/// Returns true if the item belongs to the subject: trades, books and ledger entries may have the same `id` as an order.
fn is_subject(subject: &Subject, item: &Item) -> bool {
    match subject {
        Subject::Channel(_) => true,
        Subject::Order(_) => item
            .text(CHANNEL)
            .is_some_and(|channel| Channel::from_frame(channel.to_owned()).family() == Family::LiveOrders),
    }
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
