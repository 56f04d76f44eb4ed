//! Names and texts that every block knows without spelling them. The order is part of the format: a new version may append, never
//! change.

use super::predict::Rule;

/// What becomes of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Event,
    Time,
    Id,
    Side,
    Subtype,
    Price,
    Amount,
    AmountAtCreate,
    AmountTraded,
    OrderId,
    ReceivedAt,
    /// Follows from other columns by a rule, as a rule.
    Bound(Rule),
}

/// Attributes by number, in the order in which an event's columns are coded.
pub(super) const NAMES: [(&str, Role); 36] = [
    ("event", Role::Event),
    ("nmicrotimestamp", Role::Time),
    ("id", Role::Id),
    ("order_type", Role::Side),
    ("type", Role::Side),
    ("order_subtype", Role::Subtype),
    ("price_str", Role::Price),
    ("amount_str", Role::Amount),
    ("amount_at_create", Role::AmountAtCreate),
    ("amount_traded", Role::AmountTraded),
    ("buy_order_id", Role::OrderId),
    ("sell_order_id", Role::OrderId),
    ("received_at", Role::ReceivedAt),
    ("channel", Role::Bound(Rule::Channel)),
    ("id_str", Role::Bound(Rule::IdAsText)),
    ("datetime", Role::Bound(Rule::RoundedSeconds)),
    ("timestamp", Role::Bound(Rule::Seconds)),
    ("event_id", Role::Bound(Rule::EventId)),
    ("pre_event_id", Role::Bound(Rule::PreviousEventId)),
    ("microtimestamp", Role::Bound(Rule::SortKey)),
    ("amount", Role::Bound(Rule::AmountAsNumber)),
    ("price", Role::Bound(Rule::PriceAsNumber)),
    ("is_liquidation", Role::Bound(Rule::Last)),
    ("order_source", Role::Bound(Rule::Last)),
    ("derived", Role::Bound(Rule::Last)),
    ("origin", Role::Bound(Rule::Last)),
    ("source", Role::Bound(Rule::Last)),
    ("bids", Role::Bound(Rule::Last)),
    ("asks", Role::Bound(Rule::Last)),
    ("market", Role::Bound(Rule::Last)),
    ("mark_price", Role::Bound(Rule::Last)),
    ("index_price", Role::Bound(Rule::Last)),
    ("funding_rate", Role::Bound(Rule::Last)),
    ("next_funding_time", Role::Bound(Rule::Last)),
    ("data.id", Role::Bound(Rule::Last)),
    ("data.microtimestamp", Role::Bound(Rule::Last)),
];

/// The number of `nmicrotimestamp`, which no event is without.
pub(super) const TIME: usize = 1;
/// The number of `order_type`: events with it are steps of an order's life.
pub(super) const ORDER_TYPE: usize = 3;

/// The number of `microtimestamp`.
pub(super) const MICROTIMESTAMP: usize = 19;
/// The number of `event_id`.
pub(super) const EVENT_ID: usize = 17;

/// Literals 4 to 11; 0 to 3 are null, false, true and the block's channel.
pub(super) const TEXTS: [&str; 8] =
    ["order_created", "order_changed", "order_deleted", "trade", "data", "funding_rate_saved", "orderbook", "rest"];

/// The literal of the block's channel.
pub(super) const CHANNEL: u32 = 3;
/// The literal `order_created`.
pub(super) const ORDER_CREATED: u32 = 4;
/// The literal `order_deleted`.
pub(super) const ORDER_DELETED: u32 = 6;
