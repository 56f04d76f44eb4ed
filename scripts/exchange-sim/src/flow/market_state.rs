//! One market of the flow: its traders, its arrivals, its chain and its history.

use std::collections::VecDeque;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::flow::arrivals::ArrivalProcess;
use crate::flow::event_recorder::{Chain, EventRecorder, Fact, Ids, TradeIds};
use crate::flow::trader::Trader;
use crate::model::event::{OrderEvent, Side, Trade};
use crate::model::market::Market;

/// A day, the exchange's longest look-back, microseconds.
const DAY: u64 = 86_400_000_000;
/// In so many of 100 actions the trade frame comes before the order frames (92 % of 427 recorded ties).
const TRADE_FIRST: u32 = 92;

/// One market.
#[derive(Debug)]
pub struct MarketState {
    /// Its names and decimals.
    pub market: Market,
    /// Its participants and book.
    pub trader: Trader,
    /// When it acts.
    pub arrivals: ArrivalProcess,
    /// Draws that are no decision of a participant: times and order of frames.
    pub rng: ChaCha8Rng,
    /// Nobody trades on it while it is delisted.
    pub is_open: bool,
    /// Whether the book has changed since the last book frames.
    pub moved: bool,
    /// Microtimestamp of the last book frame.
    pub book_micro: u64,
    chain: Chain,
    trade_ids: TradeIds,
    orders: VecDeque<OrderEvent>,
    trades: VecDeque<Trade>,
    history: usize,
}

impl MarketState {
    /// A market whose book holds `resting` orders from a minute before `micro`, and whose history has trades of that minute.
    pub fn new(
        market: Market,
        seed: u64,
        rate: f64,
        resting: usize,
        history: usize,
        ids: &mut Ids,
        micro: u64,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x7069_6e67);
        let mut trader = Trader::new(&market, seed, resting);
        trader.prefill(resting, || ids.order(micro.saturating_sub(60_000_000)));
        let arrivals = ArrivalProcess::new(market.orders_per_second * rate, &mut rng);
        let chain = Chain::new(market.number, micro);
        let trade_ids = match (market.perpetual, market.base.as_str()) {
            (false, _) => TradeIds::Spot,
            // Both kinds of perpetual ids were seen; one market shows the long ones, so that clients meet them.
            (true, "ETH") => TradeIds::Long,
            (true, _) => TradeIds::Perpetual,
        };
        let trades = earlier_trades(&market, ids, trade_ids, micro).take(history).collect();
        Self {
            market,
            trader,
            arrivals,
            is_open: true,
            rng,
            moved: true,
            book_micro: 0,
            chain,
            trade_ids,
            orders: VecDeque::new(),
            trades,
            history,
        }
    }

    /// One action at `micro`; what it did is in `facts`, in the order in which the frames go out.
    pub fn act(&mut self, ids: &mut Ids, micro: u64, facts: &mut Vec<Fact>) {
        facts.clear();
        if !self.is_open {
            return self.arrivals.advance(1, &mut self.rng);
        }
        let micro = micro / 1_000 * 1_000;
        let mut recorder = EventRecorder { ids, chain: &mut self.chain, micro, trade_ids: self.trade_ids, facts };
        self.trader.act(&mut recorder);
        self.moved = true;
        let mut events = 0;
        for fact in facts.iter() {
            match fact {
                Fact::Order(event) => {
                    events += 1;
                    keep(&mut self.orders, *event, self.history);
                }
                Fact::Trade(trade) => keep(&mut self.trades, *trade, self.history),
            }
        }
        if self.rng.random_range(0..100) < TRADE_FIRST {
            facts.sort_by_key(|fact| matches!(fact, Fact::Order(_)));
        } else {
            facts.sort_by_key(|fact| matches!(fact, Fact::Trade(_)));
        }
        self.arrivals.advance(events, &mut self.rng);
    }

    /// Order events of the last day that are still kept, oldest first.
    pub fn orders(&self, now: u64) -> impl Iterator<Item = &OrderEvent> {
        self.orders.iter().skip_while(move |event| event.micro + DAY < now)
    }

    /// Trades from `since` (microseconds since the Unix epoch) on that are still kept, newest first.
    pub fn trades(&self, since: u64) -> impl Iterator<Item = &Trade> {
        self.trades.iter().rev().take_while(move |trade| trade.micro >= since)
    }
}

/// Trades of the minute before `micro`: no market begins with whoever looks at it, so the history goes further back.
fn earlier_trades(market: &Market, ids: &mut Ids, from: TradeIds, micro: u64) -> impl Iterator<Item = Trade> {
    let micro = micro.max(60_000_000);
    [50, 30, 10].into_iter().map(move |seconds| {
        // Of orders as old as those that rest in the book.
        let (buy_order_id, sell_order_id) = (ids.order(micro - 60_000_000), ids.order(micro - 60_000_000));
        let micro = (micro - seconds * 1_000_000) / 1_000 * 1_000;
        let (id, taker) = (ids.trade(from), Side::Buy);
        Trade { id, taker, amount: market.usual_amount, price: market.start_price, buy_order_id, sell_order_id, micro }
    })
}

fn keep<T>(history: &mut VecDeque<T>, item: T, most: usize) {
    if history.len() >= most {
        history.pop_front();
    }
    if most > 0 {
        history.push_back(item);
    }
}
