//! Every participant of one market in one: draws what happens next and lets the book carry it out.

mod taker;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::flow::event_recorder::EventRecorder;
use crate::flow::order_book::{Book, Order};
use crate::model::event::{Kind, Side};
use crate::model::market::Market;

/// `order_subtype` values, see the exchange's order types.
pub mod subtype {
    /// Good till cancelled.
    pub const LIMIT: u8 = 0;
    /// Market.
    pub const MARKET: u8 = 2;
    /// Immediate or cancel.
    pub const IMMEDIATE: u8 = 4;
    /// Post-only.
    pub const POST_ONLY: u8 = 5;
    /// Fill or kill.
    pub const FILL_OR_KILL: u8 = 6;
    /// Triggered stop, executed as a market order.
    pub const STOP_MARKET: u8 = 20;
}

/// Shares of the actions, in 10,000. The recorded hour of btcusd had 225,830 events of post-only orders, 22,075 of
/// IOC, 4,288 of limit, 177 of FOK and 4 of market orders; market orders are more frequent here, so that a short
/// run has some.
const IMMEDIATE: u32 = 430;
const FILL_OR_KILL: u32 = 3;
const MARKET: u32 = 3;
const MARKETABLE: u32 = 5;
const REPRICE: u32 = 4;
/// One order in so many is dust: under 100 lots.
const DUST: u32 = 2_000;
/// One cancel in so many shows another price than the order had, 9 an hour in the recorded one.
const ODD_PRICE: u32 = 25_000;
/// Price that the exchange shows for a market order to buy; to sell it shows 0.
const NO_LIMIT: i64 = 999_999_999;

/// The participants of one market.
#[derive(Debug)]
pub struct Trader {
    /// The market's book.
    pub book: Book,
    rng: ChaCha8Rng,
    fair: i64,
    start: i64,
    /// Logarithm of the widest distance of a resting order from the fair price, in ticks.
    reach: u32,
    usual: i64,
    /// Price of a market order to buy, in ticks.
    no_limit: i64,
    /// Orders that should rest.
    target: usize,
}

impl Trader {
    /// Participants with their own sequence of decisions, who keep about `target` orders on the book.
    pub fn new(market: &Market, seed: u64, target: usize) -> Self {
        Self {
            book: Book::default(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            fair: market.start_price,
            start: market.start_price,
            reach: (market.start_price / 200).max(128).ilog2(),
            usual: market.usual_amount,
            no_limit: NO_LIMIT * 10_i64.pow(market.price_decimals),
            target: target.max(200),
        }
    }

    /// Lets `count` orders rest from before the first event.
    pub fn prefill(&mut self, count: usize, mut id: impl FnMut() -> u64) {
        for _ in 0..count {
            let order = self.passive(id());
            self.book.rest(order);
        }
    }

    /// Takes one action, which records at least one event.
    pub fn act(&mut self, recorder: &mut EventRecorder<'_>) {
        self.drift();
        let draw = self.rng.random_range(0..10_000);
        let mut bound = 0;
        let mut below = |share: u32| {
            bound += share;
            draw < bound
        };
        if below(IMMEDIATE) {
            self.immediate(recorder);
        } else if below(FILL_OR_KILL) {
            self.fill_or_kill(recorder);
        } else if below(MARKET) {
            self.market(recorder);
        } else if below(MARKETABLE) {
            self.marketable(recorder);
        } else if below(REPRICE) && !self.book.is_empty() {
            self.reprice(recorder);
        } else {
            self.quote(recorder);
        }
    }

    /// Creates or cancels, whichever brings the number of resting orders nearer to its target.
    fn quote(&mut self, recorder: &mut EventRecorder<'_>) {
        if self.rng.random_range(0..2 * self.target) >= self.book.len() {
            let order = self.passive(recorder.order_id());
            recorder.order(Kind::Created, &order, 0);
            self.book.rest(order);
        } else {
            self.cancel(recorder);
        }
    }

    fn cancel(&mut self, recorder: &mut EventRecorder<'_>) {
        let id = self.outdated().or_else(|| self.some_resting().map(|order| order.id));
        let Some(mut order) = id.and_then(|id| self.book.remove(id)) else {
            return;
        };
        if self.rng.random_range(0..ODD_PRICE) == 0 {
            order.price += 1;
        }
        recorder.order(Kind::Deleted, &order, 0);
    }

    /// Moves a resting order to another price under its id.
    fn reprice(&mut self, recorder: &mut EventRecorder<'_>) {
        let Some(mut order) = self.some_resting().and_then(|order| self.book.remove(order.id)) else {
            return;
        };
        order.price = self.passive_price(order.side);
        recorder.order(Kind::Changed, &order, 0);
        self.book.rest(order);
    }

    /// An order that will rest.
    fn passive(&mut self, id: u64) -> Order {
        let side = self.side();
        let (price, amount) = (self.passive_price(side), self.amount());
        let subtype = if self.rng.random_range(0..50) == 0 { subtype::LIMIT } else { subtype::POST_ONLY };
        Order { id, side, subtype, price, left: amount, at_create: amount }
    }

    /// A price that does not trade: near the fair price more often than far from it, every octave equally often.
    fn passive_price(&mut self, side: Side) -> i64 {
        let octave = self.rng.random_range(0..=self.reach);
        let distance = 1 + self.rng.random_range(0..1_i64 << octave);
        let best = self.book.best(side.other());
        match side {
            Side::Buy => (self.fair - distance).min(best.map_or(i64::MAX, |ask| ask - 1)).max(1),
            Side::Sell => (self.fair + distance).max(best.map_or(i64::MIN, |bid| bid + 1)),
        }
    }

    fn amount(&mut self) -> i64 {
        if self.rng.random_range(0..DUST) == 0 {
            return self.rng.random_range(1..100);
        }
        let most = self.usual >> self.rng.random_range(0..6);
        self.rng.random_range(1..=2 * most.max(1))
    }

    fn side(&mut self) -> Side {
        if self.rng.random() { Side::Buy } else { Side::Sell }
    }

    /// A resting order, recent ones more often.
    fn some_resting(&mut self) -> Option<Order> {
        let count = self.book.len();
        if count == 0 {
            return None;
        }
        let slot = self.rng.random_range(0..count).max(self.rng.random_range(0..count));
        self.book.at(slot)
    }

    /// Half the time, an order that the fair price has overtaken: its owner cancels it.
    fn outdated(&mut self) -> Option<u64> {
        if self.rng.random() {
            return None;
        }
        let ask = self.book.front(Side::Sell).filter(|order| order.price <= self.fair);
        let bid = self.book.front(Side::Buy).filter(|order| order.price >= self.fair);
        ask.or(bid).map(|order| order.id)
    }

    /// The fair price walks, and is pulled back to where it started.
    fn drift(&mut self) {
        let step = (self.start / 200_000).max(1);
        if self.rng.random_range(0..10) == 0 {
            self.fair += self.rng.random_range(-step..=step);
            self.fair += (self.start - self.fair) / 2_000;
            self.fair = self.fair.max(2);
        }
    }
}
