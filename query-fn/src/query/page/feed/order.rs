//! What differs where the range is an order: its events lie in the blocks of several channels until one is known that has it.

use shared::table::{CHANNEL, EVENT};
use smol_str::SmolStr;

use super::{Blocks, Feed, Row};
use crate::range::{Order, Position, Range, Subject};

/// The most Querys for blocks of one channel in a page of an order, each for twice as many as the one before: at a block a second about an
/// hour.
pub(super) const MOST_ROUNDS: usize = 12;
/// The first and the last event of an order.
const FIRST: &str = "order_created";
const LAST: &str = "order_deleted";

impl Feed {
    /// Returns a feed of the events of an order, as items and in the blocks of these channels. A page reads a bounded number of blocks, so it
    /// may be empty although there is more.
    #[must_use]
    pub fn of_order(range: &Range, after: Option<Position>, channels: &[String]) -> Feed {
        let mut feed = Feed::new(range, after);
        feed.blocks = channels.iter().map(|channel| Blocks::of_order(&feed.range, channel)).collect();
        feed
    }

    pub(super) fn is_of_order(&self) -> bool {
        matches!(self.range.subject, Subject::Order(_))
    }

    /// Returns true if a page may end although its limit is not reached: with rows, or empty with a position behind the last page's. Else a
    /// client would ask for the same page for ever where more blocks than a page reads begin within the span of one.
    pub(super) fn may_end_early(&self) -> bool {
        let gets_on =
            |reached: Position| self.after.as_ref().is_none_or(|after| self.range.order.is_before(after, &reached));
        self.is_of_order() && (!self.ready.is_empty() || self.reached().is_some_and(gets_on))
    }

    /// Returns the position behind everything before the frontier.
    pub(super) fn reached(&self) -> Option<Position> {
        let rank = self.frontier()?;
        let (time, received_at) = match self.range.order {
            Order::Ascending => (rank.checked_sub(1)?, u64::MAX),
            Order::Descending => ((u64::MAX - rank).checked_add(1)?, 0),
        };
        Some(Position { time, received_at, id: SmolStr::default(), sort: SmolStr::default() })
    }

    /// Leaves out the blocks of channels that cannot have the order, once one is known that has it.
    pub(super) fn narrow(&mut self) {
        let channel = self.pool.iter().chain(&self.ready).find_map(|row| row.item.text(CHANNEL));
        if let Some(channel) = channel {
            self.blocks.retain(|blocks| blocks.is_of(channel));
        }
    }

    /// Reads no further blocks once the end of the order is among certain rows.
    pub(super) fn stop_behind(&mut self, certain: &[Row]) {
        let end = match self.range.order {
            Order::Ascending => LAST,
            Order::Descending => FIRST,
        };
        if certain.iter().any(|row| row.item.text(EVENT) == Some(end)) {
            self.blocks.iter_mut().for_each(Blocks::stop);
        }
    }
}
