//! What happens on the exchange: events of orders, and trades.

use std::fmt;

/// Buy or sell; the discriminants are the exchange's `order_type` and `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// `0`
    Buy = 0,
    /// `1`
    Sell = 1,
}

impl Side {
    /// The side it trades against.
    pub fn other(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// What happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `order_created`
    Created,
    /// `order_changed`
    Changed,
    /// `order_deleted`
    Deleted,
}

impl Kind {
    /// The frame's `event`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "order_created",
            Self::Changed => "order_changed",
            Self::Deleted => "order_deleted",
        }
    }
}

/// Where an order came from: `order_source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderSource {
    /// `orderbook`
    OrderBook,
    /// `stop_order`: a triggered stop. `/order_data/` leaves these out.
    StopOrder,
}

/// Identity of an order event: `00065aad-a8b2-3408-0000-000102000020`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    /// Microtimestamp of the event, microseconds since the Unix epoch.
    pub micro: u64,
    /// Position within that microsecond.
    pub index: u16,
    /// Number of the market.
    pub market: u16,
    /// Counter modulo 4.
    pub counter: u8,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (high, mid, low) = (self.micro >> 32, (self.micro >> 16) & 0xffff, self.micro & 0xffff);
        write!(f, "{high:08x}-{mid:04x}-{low:04x}-{:04x}-{:04x}{:02x}000020", self.index, self.market, self.counter)
    }
}

/// One event of one order, as it goes onto `live_orders` and into the REST history.
#[derive(Debug, Clone, Copy)]
pub struct OrderEvent {
    /// What happened.
    pub kind: Kind,
    /// The order.
    pub id: u64,
    /// Its side.
    pub side: Side,
    /// `order_subtype`: 0 limit, 2 market, 4 IOC, 5 post-only, 6 FOK, 20 stop market.
    pub subtype: u8,
    /// `order_source`.
    pub source: OrderSource,
    /// Remaining amount in lots.
    pub left: i64,
    /// Amount traded in this event alone, in lots.
    pub traded: i64,
    /// Amount when it was created, in lots.
    pub at_create: i64,
    /// Price in ticks.
    pub price: i64,
    /// When, microseconds since the Unix epoch by the simulator's clock, always a whole millisecond.
    pub micro: u64,
    /// Its identity.
    pub event_id: EventId,
    /// The event before it in the same market.
    pub pre_event_id: EventId,
}

/// One trade, as it goes onto `live_trades` and into the REST history.
#[derive(Debug, Clone, Copy)]
pub struct Trade {
    /// Trade id.
    pub id: u64,
    /// The taker's side.
    pub taker: Side,
    /// Amount in lots.
    pub amount: i64,
    /// Price in ticks.
    pub price: i64,
    /// The buying order.
    pub buy_order_id: u64,
    /// The selling order.
    pub sell_order_id: u64,
    /// When, microseconds since the Unix epoch by the simulator's clock, always a whole millisecond.
    pub micro: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_is_spelled_as_recorded() {
        let id = EventId { micro: 1_789_459_694_223_000, index: 0, market: 0x0069, counter: 2 };
        assert_eq!(id.to_string(), "00065b81-0d69-fe98-0000-006902000020");
    }
}
