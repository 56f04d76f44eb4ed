//! Frames that follow from the book: snapshots, changes, funding.

use crate::channel::Family;
use crate::event::Side;
use crate::flow::desk::Desk;
use crate::frame::push;
use crate::market::Market;
use crate::number::Fixed;

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
pub fn order_book(desk: &mut Desk, micro: u64) -> String {
    snapshot_frame(desk, micro, Group::ByPrice, Family::OrderBook, r#""channel":"#, r#","event":"data"}"#)
}

/// The `detail_order_book` frame.
pub fn detail_order_book(desk: &mut Desk, micro: u64) -> String {
    snapshot_frame(desk, micro, Group::WithIds, Family::DetailOrderBook, r#""event":"data","channel":"#, "}")
}

fn snapshot_frame(desk: &mut Desk, micro: u64, group: Group, family: Family, head: &str, tail: &str) -> String {
    let mut text = String::with_capacity(8_192);
    text.push_str("{\"data\":");
    push_snapshot(&mut text, desk, micro, group, DEPTH);
    push(&mut text, format_args!(r#",{head}"{}"{tail}"#, desk.market.channel(family)));
    text
}

/// The `diff_order_book` frame, or None where no level was touched. An amount of zero takes a level away.
pub fn diff_order_book(desk: &mut Desk, micro: u64) -> Option<String> {
    let touched = desk.trader.book.take_touched();
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
        let levels = prices.into_iter().map(|price| (price, desk.trader.book.depth(side, price)));
        push_list(&mut text, levels, |text, (price, lots)| {
            push_price(text, &desk.market, price);
            // A level that is gone is written with eight decimals in every market.
            let decimals = if lots == 0 { 8 } else { desk.market.amount_decimals };
            push(text, format_args!(r#","{}"]"#, Fixed { units: lots, decimals }));
        });
        text.push(']');
    }
    let channel = desk.market.channel(Family::DiffOrderBook);
    push(&mut text, format_args!(r#"}},"channel":"{channel}","event":"data"}}"#));
    text.insert_str(0, "{\"data\":");
    Some(text)
}

/// The `funding_rate` frame of a perpetual; it carries no microtimestamp.
pub fn funding_rate(desk: &Desk, micro: u64) -> String {
    let market = &desk.market;
    let seconds = micro / 1_000_000;
    let next = (seconds / FUNDING_SECONDS + 1) * FUNDING_SECONDS;
    let mid = [Side::Buy, Side::Sell].iter().filter_map(|side| desk.trader.book.best(*side)).sum::<i64>();
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
pub fn whole(desk: &Desk, micro: u64, group: Group) -> String {
    let mut text = String::with_capacity(65_536);
    push_snapshot(&mut text, desk, micro, group, usize::MAX);
    text
}

fn push_snapshot(text: &mut String, desk: &Desk, micro: u64, group: Group, depth: usize) {
    push_times(text, micro);
    for (side, name) in [(Side::Buy, "bids"), (Side::Sell, "asks")] {
        push(text, format_args!(r#","{name}":["#));
        push_side(text, desk, side, group, depth);
        text.push(']');
    }
    text.push('}');
}

fn push_side(text: &mut String, desk: &Desk, side: Side, group: Group, depth: usize) {
    let Desk { market, trader, .. } = desk;
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
