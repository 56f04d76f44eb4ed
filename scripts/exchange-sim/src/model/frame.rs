//! The exact frames that orders and trades become: fields, types and key order of 2026.

use std::fmt::{self, Write as _};

use crate::model::channel::Family;
use crate::model::event::{OrderEvent, OrderSource, Trade};
use crate::model::market::Market;
use crate::model::number::{Exponent, Fixed, Number, is_tiny};

/// Perpetual trades were seen with ids beyond 2^53, `id_str` and a `timestamp` in milliseconds (September 2026).
const BEYOND_FLOAT: u64 = 1 << 53;

/// The `live_orders` frame.
pub fn order_frame(market: &Market, event: &OrderEvent) -> String {
    let mut text = String::with_capacity(560);
    text.push_str("{\"data\":");
    push_order_data(&mut text, market, event);
    push(
        &mut text,
        format_args!(
            r#","channel":"{}","event":"{}","event_id":"{}","pre_event_id":"{}","order_source":"{}"}}"#,
            market.channel(Family::LiveOrders),
            event.kind.name(),
            event.event_id,
            event.pre_event_id,
            source_name(event.source),
        ),
    );
    text
}

/// The element of an `/order_data/` answer: the frame without channel and chain.
pub fn order_history(market: &Market, event: &OrderEvent) -> String {
    let mut text = String::with_capacity(480);
    push(
        &mut text,
        format_args!(
            r#"{{"event":"{}","event_id":"{}","order_source":"{}","data":"#,
            event.kind.name(),
            event.event_id,
            source_name(event.source),
        ),
    );
    push_order_data(&mut text, market, event);
    text.push('}');
    text
}

/// The `live_trades` frame.
pub fn trade_frame(market: &Market, trade: &Trade) -> String {
    let mut text = String::with_capacity(340);
    push(&mut text, format_args!(r#"{{"data":{{"id":{},"#, trade.id));
    if trade.id > BEYOND_FLOAT {
        push(&mut text, format_args!(r#""id_str":"{}","timestamp":"{}","#, trade.id, trade.micro / 1_000));
    } else {
        push(&mut text, format_args!(r#""timestamp":"{}","#, trade.micro / 1_000_000));
    }
    let amount = || Fixed { units: trade.amount, decimals: market.amount_decimals };
    let price = || Fixed { units: trade.price, decimals: market.price_decimals };
    push(
        &mut text,
        format_args!(
            r#""amount":{},"amount_str":"{}","price":{},"price_str":"{}","type":{},"microtimestamp":"{}","buy_order_id":{},"sell_order_id":{}}},"channel":"{}","event":"trade"}}"#,
            Number(amount()),
            AmountText { amount: amount(), id: trade.id },
            Number(price()),
            price(),
            trade.taker as u8,
            trade.micro,
            trade.buy_order_id,
            trade.sell_order_id,
            market.channel(Family::LiveTrades),
        ),
    );
    text
}

fn push_order_data(text: &mut String, market: &Market, event: &OrderEvent) {
    let amount = |units| Fixed { units, decimals: market.amount_decimals };
    let price = || Fixed { units: event.price, decimals: market.price_decimals };
    push(
        text,
        format_args!(
            r#"{{"id":{id},"id_str":"{id}","order_type":{},"order_subtype":{},"datetime":"{}","microtimestamp":"{}","amount":{},"amount_str":"{}","amount_traded":"{}","amount_at_create":"{}","price":{},"price_str":"{}","is_liquidation":false}}"#,
            event.side as u8,
            event.subtype,
            // Rounded, not cut: it may be a second later than the microtimestamp.
            (event.micro + 500_000) / 1_000_000,
            event.micro,
            Number(amount(event.left)),
            AmountText { amount: amount(event.left), id: event.id },
            OrZero(amount(event.traded)),
            OrZero(amount(event.at_create)),
            Number(price()),
            price(),
            id = event.id,
        ),
    );
}

fn source_name(source: OrderSource) -> &'static str {
    match source {
        OrderSource::OrderBook => "orderbook",
        OrderSource::StopOrder => "stop_order",
    }
}

/// `amount_str`: now and then with an exponent where the number is tiny. A function of the content alone, so that
/// REST spells the event as the stream did.
struct AmountText {
    amount: Fixed,
    id: u64,
}

impl fmt::Display for AmountText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fixed { units, decimals } = self.amount;
        let amount = Fixed { units, decimals };
        if is_tiny(&amount) && self.id.is_multiple_of(4) { Exponent(amount).fmt(f) } else { amount.fmt(f) }
    }
}

/// `amount_traded` and `amount_at_create` are a bare `0` where nothing stands in them.
struct OrZero(Fixed);

impl fmt::Display for OrZero {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.units == 0 { f.write_str("0") } else { self.0.fmt(f) }
    }
}

/// Appends; a `String` takes any text.
pub(crate) fn push(text: &mut String, arguments: fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Side;

    #[test]
    fn a_trade_beyond_two_to_the_53_carries_its_id_as_text_and_milliseconds() {
        let market = Market::named("ethusd-perp").unwrap();
        let trade = Trade {
            id: 2_001_939_623_936_278_528,
            taker: Side::Sell,
            amount: 5,
            price: 20_900,
            buy_order_id: 1,
            sell_order_id: 2,
            micro: 1_789_456_400_586_000,
        };
        let frame = trade_frame(&market, &trade);
        assert!(
            frame.contains(r#""id":2001939623936278528,"id_str":"2001939623936278528","timestamp":"1789456400586""#)
        );
    }
}
