//! The matching engine's book: price-time priority, in whole ticks and lots.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::model::event::Side;

/// A resting order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Order id.
    pub id: u64,
    /// Side on which it rests.
    pub side: Side,
    /// `order_subtype`.
    pub subtype: u8,
    /// Limit in ticks.
    pub price: i64,
    /// Remaining lots, above zero.
    pub left: i64,
    /// Lots when it was created.
    pub at_create: i64,
}

/// One fill of a resting order.
#[derive(Debug, Clone, Copy)]
pub struct Fill {
    /// The resting order after the fill; `left` is zero where it is used up.
    pub maker: Order,
    /// Lots that changed hands, at the maker's price.
    pub amount: i64,
}

/// Resting orders of one market.
#[derive(Debug, Default)]
pub struct Book {
    orders: HashMap<u64, (Order, usize)>,
    /// All ids, for a draw by position; the order's slot is kept beside it.
    ids: Vec<u64>,
    bids: BTreeMap<i64, VecDeque<u64>>,
    asks: BTreeMap<i64, VecDeque<u64>>,
    /// Levels touched since [`Self::take_touched`]; None until somebody asks, so that nobody pays for it unasked.
    touched: Option<BTreeSet<(Side, i64)>>,
}

impl Book {
    /// How many orders rest.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether nothing rests.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The order in a slot below [`Self::len`]; recent orders stand in high slots.
    pub fn at(&self, slot: usize) -> Option<Order> {
        self.ids.get(slot).and_then(|id| self.get(*id))
    }

    /// A resting order.
    pub fn get(&self, id: u64) -> Option<Order> {
        self.orders.get(&id).map(|(order, _)| *order)
    }

    /// Best price of a side in ticks.
    pub fn best(&self, side: Side) -> Option<i64> {
        match side {
            Side::Buy => self.bids.last_key_value(),
            Side::Sell => self.asks.first_key_value(),
        }
        .map(|(price, _)| *price)
    }

    /// The first order at a side's best price.
    pub fn front(&self, side: Side) -> Option<Order> {
        let price = self.best(side)?;
        self.levels(side).get(&price)?.front().and_then(|id| self.get(*id))
    }

    /// Lots at a price.
    pub fn depth(&self, side: Side, price: i64) -> i64 {
        self.levels(side).get(&price).map_or(0, |queue| self.total(queue))
    }

    /// Price levels from the best on: price in ticks, total lots.
    pub fn walk(&self, side: Side) -> Box<dyn Iterator<Item = (i64, i64)> + '_> {
        Box::new(self.queues(side).map(|(price, queue)| (price, self.total(queue))))
    }

    /// Orders in priority from the best on.
    pub fn walk_orders(&self, side: Side) -> Box<dyn Iterator<Item = Order> + '_> {
        Box::new(self.queues(side).flat_map(|(_, queue)| queue.iter().filter_map(|id| self.get(*id))))
    }

    /// Levels touched since the last call, as (side, price in ticks). The first call starts the watch.
    pub fn take_touched(&mut self) -> BTreeSet<(Side, i64)> {
        self.touched.replace(BTreeSet::new()).unwrap_or_default()
    }

    /// Ends the watch of [`Self::take_touched`].
    pub fn forget_touched(&mut self) {
        self.touched = None;
    }

    /// Lets an order rest behind all others at its price.
    pub fn rest(&mut self, order: Order) {
        self.orders.insert(order.id, (order, self.ids.len()));
        self.ids.push(order.id);
        self.levels_mut(order.side).entry(order.price).or_default().push_back(order.id);
        self.touch(order);
    }

    /// Takes an order off the book.
    pub fn remove(&mut self, id: u64) -> Option<Order> {
        let (order, slot) = self.orders.remove(&id)?;
        self.ids.swap_remove(slot);
        if let Some(moved) = self.ids.get(slot).and_then(|id| self.orders.get_mut(id)) {
            moved.1 = slot;
        }
        let levels = self.levels_mut(order.side);
        if let Some(queue) = levels.get_mut(&order.price) {
            queue.retain(|other| *other != id);
            if queue.is_empty() {
                levels.remove(&order.price);
            }
        }
        self.touch(order);
        Some(order)
    }

    /// Fills up to `amount` lots for a taker of `side` at prices no worse than `limit`, best first.
    pub fn take(&mut self, side: Side, limit: i64, amount: i64) -> Vec<Fill> {
        let mut fills = Vec::new();
        let mut wanted = amount;
        while wanted > 0 {
            let Some(maker) = self.front(side.other()).filter(|maker| crosses(side, limit, maker.price)) else {
                break;
            };
            let amount = wanted.min(maker.left);
            wanted -= amount;
            fills.push(self.fill(maker, amount));
        }
        fills
    }

    /// Lots that a taker of `side` would get at prices no worse than `limit`.
    pub fn available(&self, side: Side, limit: i64) -> i64 {
        self.walk(side.other()).take_while(|(price, _)| crosses(side, limit, *price)).map(|(_, lots)| lots).sum()
    }

    fn fill(&mut self, mut maker: Order, amount: i64) -> Fill {
        maker.left -= amount;
        if maker.left == 0 {
            self.remove(maker.id);
        } else if let Some((order, _)) = self.orders.get_mut(&maker.id) {
            order.left = maker.left;
        }
        self.touch(maker);
        Fill { maker, amount }
    }

    fn touch(&mut self, order: Order) {
        if let Some(touched) = &mut self.touched {
            touched.insert((order.side, order.price));
        }
    }

    fn queues(&self, side: Side) -> Box<dyn Iterator<Item = (i64, &VecDeque<u64>)> + '_> {
        match side {
            Side::Buy => Box::new(self.bids.iter().rev().map(|(price, queue)| (*price, queue))),
            Side::Sell => Box::new(self.asks.iter().map(|(price, queue)| (*price, queue))),
        }
    }

    fn total(&self, queue: &VecDeque<u64>) -> i64 {
        queue.iter().filter_map(|id| self.get(*id)).map(|order| order.left).sum()
    }

    fn levels(&self, side: Side) -> &BTreeMap<i64, VecDeque<u64>> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn levels_mut(&mut self, side: Side) -> &mut BTreeMap<i64, VecDeque<u64>> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}

/// Whether a taker of `side` with this limit trades at `price`.
fn crosses(side: Side, limit: i64, price: i64) -> bool {
    match side {
        Side::Buy => price <= limit,
        Side::Sell => price >= limit,
    }
}
