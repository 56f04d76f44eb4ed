//! An event: what a data frame says about a market.

use serde_json::{Map, Value};

use crate::channel::{Channel, Family};

/// What happened on a market, as the exchange sent it: nothing renamed, nothing rounded, nothing left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The channel it came on.
    pub channel: Channel,
    /// `trade`, `order_created`, `order_changed`, `order_deleted`, `data`, or any other name.
    pub name: String,
    /// The frame's `data`; an object in every family known today.
    pub data: Value,
    /// The frame's other fields: `event_id`, `pre_event_id`, `order_source`, and what is added tomorrow.
    pub extra: Map<String, Value>,
}

/// How events of one kind are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An executed trade: its id is unique in its channel.
    Trade,
    /// A step in an order's life, or another event on a channel of trades or orders: several may share id and microsecond.
    Order,
    /// Books, funding rates and whatever is not known yet.
    Other,
}

impl Event {
    /// The kind, by channel family and name. Trades and orders cannot do without an id and a time.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match (self.channel.family(), self.name.as_str()) {
            (Family::LiveTrades, "trade") => Kind::Trade,
            (Family::LiveTrades | Family::LiveOrders, _) => Kind::Order,
            _ => Kind::Other,
        }
    }

    /// A field of `data`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.data.as_object().and_then(|fields| fields.get(name))
    }
}
