//! The orders that the block knows and that are not deleted yet.
//!
//! Events with `order_type` and a whole number in `id` make an order known; `order_deleted` makes it unknown.

use super::value::Val;

/// Older ones are forgotten: looking for an order passes over all that are known.
const MOST: usize = 2_048;

/// An order as it last appeared.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Order {
    pub(super) id: i64,
    pub(super) side: Option<Val>,
    pub(super) subtype: Option<Val>,
    pub(super) price: Option<Val>,
    pub(super) amount: Option<Val>,
    pub(super) at_create: Option<Val>,
}

/// Orders by recency.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    /// The latest at the end.
    ids: Vec<i64>,
    /// Where in `kept` each of `ids` is.
    places: Vec<usize>,
    kept: Vec<Order>,
    free: Vec<usize>,
}

impl Orders {
    /// How many other orders appeared since this one; `None` if it is not known.
    pub(super) fn rank(&self, id: i64) -> Option<usize> {
        let mut passed = 0;
        // By chunks, which compilers compare at once.
        for chunk in self.ids.rchunks(16) {
            if chunk.iter().fold(false, |found, known| found | (*known == id)) {
                return Some(passed + chunk.iter().rev().position(|known| *known == id)?);
            }
            passed += chunk.len();
        }
        None
    }

    /// Takes out the order of this rank.
    pub(super) fn take(&mut self, rank: usize) -> Option<Order> {
        let position = self.ids.len().checked_sub(rank)?.checked_sub(1)?;
        let order = self.kept.get(*self.places.get(position)?).copied();
        self.ids.remove(position);
        self.free.push(self.places.remove(position));
        order
    }

    /// Adds an order as the latest.
    pub(super) fn put(&mut self, order: Order) {
        if self.ids.len() >= MOST {
            self.ids.remove(0);
            self.free.push(self.places.remove(0));
        }
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.kept.push(order);
                self.kept.len() - 1
            }
        };
        if let Some(kept) = self.kept.get_mut(place) {
            *kept = order;
        }
        self.ids.push(order.id);
        self.places.push(place);
    }
}
