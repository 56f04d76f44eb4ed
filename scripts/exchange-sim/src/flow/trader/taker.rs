//! Orders that want to trade at once.

use rand::RngExt;

use crate::flow::event_recorder::EventRecorder;
use crate::flow::order_book::Order;
use crate::flow::trader::{Trader, subtype};
use crate::model::event::{Kind, OrderSource, Side};

/// Of IOC orders, so many in 1,000 are priced to trade: makes 0.7 trades a second of 240 events a second.
const IMMEDIATE_CROSSING: u32 = 45;

impl Trader {
    /// An IOC order; most are priced beside the market and go at once.
    pub(super) fn immediate(&mut self, recorder: &mut EventRecorder<'_>) {
        let side = self.side();
        let order = if self.rng.random_range(0..1_000) < IMMEDIATE_CROSSING {
            self.crossing(recorder, side, subtype::IMMEDIATE)
        } else {
            let (price, amount) = (self.passive_price(side), self.amount());
            Order { id: recorder.order_id(), side, subtype: subtype::IMMEDIATE, price, left: amount, at_create: amount }
        };
        let rest = self.execute(recorder, order);
        self.expire(recorder, rest);
    }

    pub(super) fn fill_or_kill(&mut self, recorder: &mut EventRecorder<'_>) {
        let side = self.side();
        let order = self.crossing(recorder, side, subtype::FILL_OR_KILL);
        let rest = if self.book.available(side, order.price) >= order.left {
            self.execute(recorder, order)
        } else {
            recorder.order(Kind::Created, &order, 0);
            order
        };
        self.expire(recorder, rest);
    }

    /// A limit order that trades first and lets its remainder rest.
    pub(super) fn marketable(&mut self, recorder: &mut EventRecorder<'_>) {
        let side = self.side();
        let order = self.crossing(recorder, side, subtype::LIMIT);
        let rest = self.execute(recorder, order);
        if rest.left > 0 {
            self.book.rest(rest);
        }
    }

    /// A market order: created with the extreme price, then shown at the prices of its fills. Half of them are by value,
    /// which the exchange shows as amount 0 at first and as one lot left over at the end.
    pub(super) fn market(&mut self, recorder: &mut EventRecorder<'_>) {
        let side = self.side();
        let stop = self.rng.random_range(0..8) == 0;
        let by_value: bool = self.rng.random();
        let (source, subtype) = match stop {
            true => (OrderSource::StopOrder, subtype::STOP_MARKET),
            false => (OrderSource::OrderBook, subtype::MARKET),
        };
        let price = if side == Side::Buy { self.no_limit } else { 0 };
        let amount = self.amount();
        let total = amount + i64::from(by_value);
        let mut order = Order { id: recorder.order_id(), side, subtype, price, left: total, at_create: total };
        let shown = if by_value { Order { left: 0, at_create: 0, ..order } } else { order };
        recorder.order_from(source, Kind::Created, &shown, 0);
        for fill in self.book.take(side, price, amount) {
            order.price = fill.maker.price;
            fill_events(recorder, source, &mut order, &fill.maker, fill.amount);
        }
        if order.left > 0 {
            recorder.order_from(source, Kind::Deleted, &order, 0);
        }
    }

    /// Creates a taker and fills what its limit allows; the rest of it comes back.
    fn execute(&mut self, recorder: &mut EventRecorder<'_>, mut order: Order) -> Order {
        recorder.order(Kind::Created, &order, 0);
        for fill in self.book.take(order.side, order.price, order.left) {
            fill_events(recorder, OrderSource::OrderBook, &mut order, &fill.maker, fill.amount);
        }
        order
    }

    fn expire(&mut self, recorder: &mut EventRecorder<'_>, rest: Order) {
        if rest.left > 0 {
            recorder.order(Kind::Deleted, &rest, 0);
        }
    }

    /// An order priced to trade with the front of the other side, now and then big enough for several.
    fn crossing(&mut self, recorder: &mut EventRecorder<'_>, side: Side, subtype: u8) -> Order {
        let front = self.book.front(side.other());
        let room = self.rng.random_range(0..4);
        let price = match (side, front) {
            (Side::Buy, Some(front)) => front.price + room,
            (Side::Sell, Some(front)) => (front.price - room).max(1),
            (_, None) => self.passive_price(side),
        };
        let mut amount = self.amount();
        if self.rng.random_range(0..3) == 0 {
            amount = amount.max(front.map_or(0, |front| front.left)) + self.amount();
        }
        Order { id: recorder.order_id(), side, subtype, price, left: amount, at_create: amount }
    }
}

/// The trade and the two order events of one fill.
fn fill_events(recorder: &mut EventRecorder<'_>, source: OrderSource, taker: &mut Order, maker: &Order, amount: i64) {
    recorder.trade(taker.side, taker.id, maker.id, maker.price, amount);
    let gone = |left| if left == 0 { Kind::Deleted } else { Kind::Changed };
    recorder.order(gone(maker.left), maker, amount);
    taker.left -= amount;
    recorder.order_from(source, gone(taker.left), taker, amount);
}
