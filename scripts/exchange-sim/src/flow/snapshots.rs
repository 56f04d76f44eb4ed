//! Frames that follow from the book: snapshots, changes, funding.

use crate::flow::market_state::MarketState;
use crate::model::channel::Family;
use crate::model::event::Side;
use crate::model::frame::push;
use crate::model::market::Market;
use crate::model::number::Fixed;

/// Levels, or orders, of each side in a snapshot frame.
const DEPTH: usize = 100;
/// Funding is paid every eight hours; seconds.
const FUNDING_SECONDS: u64 = 8 * 3_600;

/// How an order book over REST is grouped: the `group` parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// `0`: every order on its own.
    None,
    /// `1`, the default: one entry a price.
    ByPrice,
    /// `2`: every order with its id.
    WithIds,
}

/// The `order_book` frame.
pub fn order_book(market_state: &mut MarketState, micro: u64) -> String {
    snapshot_frame(market_state, micro, Group::ByPrice, Family::OrderBook, r#""channel":"#, r#","event":"data"}"#)
}

/// The `detail_order_book` frame.
pub fn detail_order_book(market_state: &mut MarketState, micro: u64) -> String {
    snapshot_frame(market_state, micro, Group::WithIds, Family::DetailOrderBook, r#""event":"data","channel":"#, "}")
}

fn snapshot_frame(
    market_state: &mut MarketState,
    micro: u64,
    group: Group,
    family: Family,
    head: &str,
    tail: &str,
) -> String {
    let mut text = String::with_capacity(8_192);
    text.push_str("{\"data\":");
    push_snapshot(&mut text, market_state, micro, group, DEPTH);
    push(&mut text, format_args!(r#",{head}"{}"{tail}"#, market_state.market.channel(family)));
    text
}

/// The `diff_order_book` frame, or None where no level was touched. An amount of zero takes a level away.
pub fn diff_order_book(market_state: &mut MarketState, micro: u64) -> Option<String> {
    let touched = market_state.trader.book.take_touched();
    if touched.is_empty() {
        return None;
    }
    let mut text = String::with_capacity(1_024);
    push_times(&mut text, micro);
    for (side, name) in [(Side::Buy, "bids"), (Side::Sell, "asks")] {
        push(&mut text, format_args!(r#","{name}":["#));
        let mut prices: Vec<i64> = touched.iter().filter(|(of, _)| *of == side).map(|(_, price)| *price).collect();
        if side == Side::Buy {
            prices.reverse();
        }
        let levels = prices.into_iter().map(|price| (price, market_state.trader.book.depth(side, price)));
        push_list(&mut text, levels, |text, (price, lots)| {
            push_price(text, &market_state.market, price);
            // A level that is gone is written with eight decimals in every market.
            let decimals = if lots == 0 { 8 } else { market_state.market.amount_decimals };
            push(text, format_args!(r#","{}"]"#, Fixed { units: lots, decimals }));
        });
        text.push(']');
    }
    let channel = market_state.market.channel(Family::DiffOrderBook);
    push(&mut text, format_args!(r#"}},"channel":"{channel}","event":"data"}}"#));
    text.insert_str(0, "{\"data\":");
    Some(text)
}

/// The `funding_rate` frame of a perpetual; it carries no microtimestamp.
pub fn funding_rate(market_state: &MarketState, micro: u64) -> String {
    let market = &market_state.market;
    let seconds = micro / 1_000_000;
    let next = (seconds / FUNDING_SECONDS + 1) * FUNDING_SECONDS;
    let mid = [Side::Buy, Side::Sell].iter().filter_map(|side| market_state.trader.book.best(*side)).sum::<i64>();
    // Twice the mid price in ticks, brought to eight decimals.
    let mark = mid * 10_i64.pow(8 - market.price_decimals) / 2;
    let index = mark - mark / 7_000;
    let mut text = String::with_capacity(260);
    push(
        &mut text,
        format_args!(
            r#"{{"data":{{"market":"{}","mark_price":"{}","index_price":"{}","funding_rate":"0.0001","timestamp":"{seconds}","next_funding_time":"{next}"}},"channel":"{}","event":"funding_rate_saved"}}"#,
            market.name,
            Fixed { units: mark, decimals: 8 },
            Fixed { units: index, decimals: 8 },
            market.channel(Family::FundingRate),
        ),
    );
    text
}

/// The whole book as `/order_book/` answers it.
pub fn whole(market_state: &MarketState, micro: u64, group: Group) -> String {
    let mut text = String::with_capacity(65_536);
    push_snapshot(&mut text, market_state, micro, group, usize::MAX);
    text
}

fn push_snapshot(text: &mut String, market_state: &MarketState, micro: u64, group: Group, depth: usize) {
    push_times(text, micro);
    for (side, name) in [(Side::Buy, "bids"), (Side::Sell, "asks")] {
        push(text, format_args!(r#","{name}":["#));
        push_side(text, market_state, side, group, depth);
        text.push(']');
    }
    text.push('}');
}

fn push_side(text: &mut String, market_state: &MarketState, side: Side, group: Group, depth: usize) {
    let MarketState { market, trader, .. } = market_state;
    let amount = |units| Fixed { units, decimals: market.amount_decimals };
    if group == Group::ByPrice {
        push_list(text, trader.book.walk(side).take(depth), |text, (price, lots)| {
            push_price(text, market, price);
            push(text, format_args!(r#","{}"]"#, amount(lots)));
        });
        return;
    }
    push_list(text, trader.book.walk_orders(side).take(depth), |text, order| {
        push_price(text, market, order.price);
        push(text, format_args!(r#","{}""#, amount(order.left)));
        if group == Group::WithIds {
            push(text, format_args!(r#","{}""#, order.id));
        }
        text.push(']');
    });
}

fn push_times(text: &mut String, micro: u64) {
    push(text, format_args!(r#"{{"timestamp":"{}","microtimestamp":"{micro}""#, micro / 1_000_000));
}

fn push_price(text: &mut String, market: &Market, price: i64) {
    push(text, format_args!(r#"["{}""#, Fixed { units: price, decimals: market.price_decimals }));
}

fn push_list<T>(text: &mut String, items: impl Iterator<Item = T>, mut one: impl FnMut(&mut String, T)) {
    for (position, item) in items.enumerate() {
        if position > 0 {
            text.push(',');
        }
        one(text, item);
    }
}
