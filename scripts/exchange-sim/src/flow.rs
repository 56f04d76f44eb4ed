//! The seeded order flow: for a given seed, rate and list of markets always the same decisions in the same order.
//!
//! The flow has its own time, microseconds since its start; whoever drives it says how far it may go and what wall
//! time its start stands for. What nobody wants is decided but not written: books cost nothing unless subscribed to.

pub mod arrivals;
pub mod event_recorder;
pub mod market_state;
pub mod order_book;
pub mod snapshots;
pub mod trader;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::RngExt;

use crate::flow::event_recorder::{Fact, Ids};
use crate::flow::market_state::MarketState;
use crate::model::channel::Family;
use crate::model::frame::{order_frame, trade_frame};
use crate::model::market::Market;

/// What the flow is made from.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Markets, in the order in which ties among them are decided.
    pub markets: Vec<Market>,
    /// Seed of all decisions.
    pub seed: u64,
    /// Multiple of the usual rates.
    pub rate: f64,
    /// Orders on each book before the first event.
    pub resting: usize,
    /// Order events and trades kept for each market.
    pub history: usize,
}

/// One frame that came into being.
#[derive(Debug)]
pub struct Emission {
    /// Position of the market in [`Flow::markets`].
    pub market: usize,
    /// The family of its channel.
    pub family: Family,
    /// The frame, or None where nobody wanted it written.
    pub text: Option<String>,
}

/// What is due at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Orders,
    Books,
    Diff,
    Funding,
}

/// The order flow of all markets.
#[derive(Debug)]
pub struct Flow {
    /// The markets.
    pub markets: Vec<MarketState>,
    /// Wall time of the flow's start, microseconds since the Unix epoch; whoever pauses the flow moves it on.
    pub origin: u64,
    timers: BinaryHeap<Reverse<(u64, usize, Timer)>>,
    ids: Ids,
    rate: f64,
    facts: Vec<Fact>,
}

impl Flow {
    /// A flow that starts at `origin`, microseconds since the Unix epoch.
    pub fn new(plan: &Plan, origin: u64) -> Self {
        let mut ids = Ids::new(origin);
        let mut timers = BinaryHeap::new();
        let mut markets: Vec<MarketState> = Vec::new();
        for market in &plan.markets {
            let seed = plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(market.number);
            let market_state =
                MarketState::new(market.clone(), seed, plan.rate, plan.resting, plan.history, &mut ids, origin);
            timers.push(Reverse((market_state.arrivals.next(), markets.len(), Timer::Orders)));
            timers.push(Reverse((0, markets.len(), Timer::Books)));
            timers.push(Reverse((0, markets.len(), Timer::Diff)));
            if market.perpetual {
                timers.push(Reverse((0, markets.len(), Timer::Funding)));
            }
            markets.push(market_state);
        }
        Self { markets, origin, timers, ids, rate: plan.rate, facts: Vec::new() }
    }

    /// Time at which something is due next, microseconds since the flow's start.
    pub fn next(&self) -> Option<u64> {
        self.timers.peek().map(|Reverse((due, ..))| *due)
    }

    /// Does what is due up to `until` (microseconds since the flow's start), at most `steps` things, and appends the
    /// frames to `out`. True where more is due.
    pub fn advance(
        &mut self,
        until: u64,
        steps: usize,
        wanted: &dyn Fn(&Market, Family) -> bool,
        out: &mut Vec<Emission>,
    ) -> bool {
        for _ in 0..steps {
            let Some(Reverse((due, market, timer))) = self.timers.peek().copied().filter(|next| next.0.0 <= until)
            else {
                return false;
            };
            self.timers.pop();
            let next = match timer {
                Timer::Orders => self.orders(due, market, wanted, out),
                Timer::Books => self.books(due, market, wanted, out),
                Timer::Diff => self.diff(due, market, wanted, out),
                Timer::Funding => self.funding(due, market, wanted, out),
            };
            self.timers.push(Reverse((next.max(due), market, timer)));
        }
        self.next().is_some_and(|due| due <= until)
    }

    fn orders(&mut self, due: u64, market: usize, wanted: Wanted<'_>, out: &mut Vec<Emission>) -> u64 {
        let Some(market_state) = self.markets.get_mut(market) else { return u64::MAX };
        market_state.act(&mut self.ids, self.origin + due, &mut self.facts);
        let orders = wanted(&market_state.market, Family::LiveOrders);
        let trades = wanted(&market_state.market, Family::LiveTrades);
        for fact in &self.facts {
            let (family, text) = match fact {
                Fact::Order(event) => (Family::LiveOrders, orders.then(|| order_frame(&market_state.market, event))),
                Fact::Trade(trade) => (Family::LiveTrades, trades.then(|| trade_frame(&market_state.market, trade))),
            };
            out.push(Emission { market, family, text });
        }
        market_state.arrivals.next()
    }

    /// Snapshots: 79 to 150 ms apart where the book moved, 4.65 a second for perpetuals.
    fn books(&mut self, due: u64, market: usize, wanted: Wanted<'_>, out: &mut Vec<Emission>) -> u64 {
        let Some(market_state) = self.markets.get_mut(market) else { return u64::MAX };
        let between = if market_state.market.perpetual { 150_000..280_000 } else { 79_000..150_000 };
        let next = due + scaled(market_state.rng.random_range(between), self.rate);
        if !std::mem::take(&mut market_state.moved) {
            return next;
        }
        let micro = book_time(market_state, self.origin + due);
        if wanted(&market_state.market, Family::OrderBook) {
            let text = Some(snapshots::order_book(market_state, micro));
            out.push(Emission { market, family: Family::OrderBook, text });
        }
        if wanted(&market_state.market, Family::DetailOrderBook) {
            let text = Some(snapshots::detail_order_book(market_state, micro));
            out.push(Emission { market, family: Family::DetailOrderBook, text });
        }
        next
    }

    /// Changes: at most one frame in 110 ms, in 602 ms for perpetuals.
    fn diff(&mut self, due: u64, market: usize, wanted: Wanted<'_>, out: &mut Vec<Emission>) -> u64 {
        let Some(market_state) = self.markets.get_mut(market) else { return u64::MAX };
        if wanted(&market_state.market, Family::DiffOrderBook) {
            let micro = book_time(market_state, self.origin + due);
            if let Some(text) = snapshots::diff_order_book(market_state, micro) {
                out.push(Emission { market, family: Family::DiffOrderBook, text: Some(text) });
            }
        } else {
            market_state.trader.book.forget_touched();
        }
        due + scaled(if market_state.market.perpetual { 602_000 } else { 110_000 }, self.rate)
    }

    fn funding(&mut self, due: u64, market: usize, wanted: Wanted<'_>, out: &mut Vec<Emission>) -> u64 {
        let Some(market_state) = self.markets.get(market) else { return u64::MAX };
        if wanted(&market_state.market, Family::FundingRate) {
            let text = Some(snapshots::funding_rate(market_state, self.origin + due));
            out.push(Emission { market, family: Family::FundingRate, text });
        }
        due + scaled(1_000_000, self.rate)
    }
}

/// Whether the frames of a channel are to be written.
type Wanted<'a> = &'a dyn Fn(&Market, Family) -> bool;

/// A book's time: real microseconds, never the same twice.
fn book_time(market_state: &mut MarketState, micro: u64) -> u64 {
    market_state.book_micro = micro.max(market_state.book_micro + 1);
    market_state.book_micro
}

/// An interval in microseconds at a multiple of the usual rate, at least a microsecond.
fn scaled(micros: u32, rate: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most a second over a positive rate"
    )]
    let micros = (f64::from(micros) / rate).max(1.0) as u64;
    micros
}
