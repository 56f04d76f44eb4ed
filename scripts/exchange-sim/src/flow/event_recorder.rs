//! Ids and the chain: what turns a decision into an event that can be told from every other.

use crate::flow::order_book::Order;
use crate::model::event::{EventId, Kind, OrderEvent, OrderSource, Side, Trade};

/// Epoch of order ids: `(id >> 12) + 1288834974657` is the millisecond of creation.
const ORDER_EPOCH_MILLIS: u64 = 1_288_834_974_657;
/// Spot trade ids of autumn 2026, reached at this second of the Unix epoch.
const SPOT_TRADES: (u64, u64) = (650_000_000, 1_791_000_000);
/// Perpetual trade ids of the ordinary kind.
const PERPETUAL_TRADES: u64 = 502_711_286;
/// Perpetual trade ids of the kind beyond 2^53.
const LONG_TRADES: u64 = 2_001_939_623_936_278_528;

/// Sequences over all markets.
#[derive(Debug)]
pub struct Ids {
    millis: u64,
    sequence: u64,
    spot_trade: u64,
    perpetual_trade: u64,
    long_trade: u64,
}

/// Which sequence a market's trade ids come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TradeIds {
    /// One rising sequence around 6.5e8 over all spot markets.
    Spot,
    /// The perpetuals' own sequence around 5.0e8.
    Perpetual,
    /// Ids beyond 2^53, as one perpetual frame of September 2026 carries them.
    Long,
}

impl Ids {
    /// Sequences of a simulator started at `micro`, so that one started later does not repeat the ids of an earlier one.
    pub fn new(micro: u64) -> Self {
        let seconds = (micro / 1_000_000).saturating_sub(SPOT_TRADES.1);
        Self {
            millis: 0,
            sequence: 0,
            spot_trade: SPOT_TRADES.0 + seconds * 8,
            perpetual_trade: PERPETUAL_TRADES + seconds * 2,
            long_trade: LONG_TRADES + seconds * 4_096,
        }
    }

    /// Id of an order created at `micro`.
    pub fn order(&mut self, micro: u64) -> u64 {
        let millis = micro / 1_000;
        if millis > self.millis {
            (self.millis, self.sequence) = (millis, 0);
        } else {
            self.sequence += 1;
        }
        // More than 4,096 in a millisecond run on into the next one's numbers.
        let ahead = self.sequence >> 12;
        if ahead > 0 {
            (self.millis, self.sequence) = (self.millis + ahead, 0);
        }
        (self.millis.saturating_sub(ORDER_EPOCH_MILLIS) << 12) | self.sequence
    }

    /// Id of the next trade.
    pub fn trade(&mut self, from: TradeIds) -> u64 {
        let sequence = match from {
            TradeIds::Spot => &mut self.spot_trade,
            TradeIds::Perpetual => &mut self.perpetual_trade,
            TradeIds::Long => &mut self.long_trade,
        };
        *sequence += 1;
        *sequence
    }
}

/// The unbroken chain of one market's order events.
#[derive(Debug)]
pub struct Chain {
    last: EventId,
}

impl Chain {
    /// A chain that goes on from an event just before `micro`.
    pub fn new(market: u16, micro: u64) -> Self {
        Self { last: EventId { micro: (micro / 1_000).saturating_sub(1) * 1_000, index: 0, market, counter: 0 } }
    }

    fn link(&mut self, micro: u64) -> (EventId, EventId) {
        let before = self.last;
        let index = if before.micro == micro { before.index + 1 } else { 0 };
        self.last = EventId { micro, index, market: before.market, counter: (before.counter + 1) % 4 };
        (self.last, before)
    }
}

/// What one action did.
#[derive(Debug, Clone, Copy)]
pub enum Fact {
    /// An event of an order.
    Order(OrderEvent),
    /// A trade.
    Trade(Trade),
}

/// Takes down one action: everything on it happens within one microtimestamp.
#[derive(Debug)]
pub struct EventRecorder<'a> {
    /// Sequences of ids.
    pub ids: &'a mut Ids,
    /// The market's chain.
    pub chain: &'a mut Chain,
    /// When, microseconds since the Unix epoch, a whole millisecond.
    pub micro: u64,
    /// Which trade ids the market has.
    pub trade_ids: TradeIds,
    /// What was taken down so far.
    pub facts: &'a mut Vec<Fact>,
}

impl EventRecorder<'_> {
    /// A new order's id.
    pub fn order_id(&mut self) -> u64 {
        self.ids.order(self.micro)
    }

    /// An event of a resting order, or of a taker from the order book.
    pub fn order(&mut self, kind: Kind, order: &Order, traded: i64) {
        self.order_from(OrderSource::OrderBook, kind, order, traded);
    }

    /// An event of an order from a given source.
    pub fn order_from(&mut self, source: OrderSource, kind: Kind, order: &Order, traded: i64) {
        let (event_id, pre_event_id) = self.chain.link(self.micro);
        let Order { id, side, subtype, price, left, at_create } = *order;
        let micro = self.micro;
        let event = OrderEvent {
            kind,
            id,
            side,
            subtype,
            source,
            left,
            traded,
            at_create,
            price,
            micro,
            event_id,
            pre_event_id,
        };
        self.facts.push(Fact::Order(event));
    }

    /// A trade between a taker and a resting order.
    pub fn trade(&mut self, taker: Side, taker_id: u64, maker_id: u64, price: i64, amount: i64) {
        let (buy_order_id, sell_order_id) = match taker {
            Side::Buy => (taker_id, maker_id),
            Side::Sell => (maker_id, taker_id),
        };
        let id = self.ids.trade(self.trade_ids);
        let trade = Trade { id, taker, amount, price, buy_order_id, sell_order_id, micro: self.micro };
        self.facts.push(Fact::Trade(trade));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_ids_tell_their_millisecond_and_never_repeat() {
        let micro = 1_789_459_694_222_000;
        let mut ids = Ids::new(micro);
        let drawn: Vec<u64> = (0..10_000).map(|_| ids.order(micro)).collect();
        assert_eq!((drawn[0] >> 12) + ORDER_EPOCH_MILLIS, micro / 1_000);
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ids.order(micro + 1_000) > drawn[9_999]);
    }

    #[test]
    fn the_chain_counts_within_a_microsecond() {
        let mut chain = Chain::new(1, 5_000);
        let (first, _) = chain.link(5_000);
        let (second, before) = chain.link(5_000);
        let (third, _) = chain.link(6_000);
        assert_eq!((first.index, second.index, third.index), (0, 1, 0));
        assert_eq!(before, first);
        assert!(first < second && second < third);
    }
}
