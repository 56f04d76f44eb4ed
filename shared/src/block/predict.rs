//! What an attribute is, as a rule, where other attributes of the event or of the event before say it.

use super::orders::Order;
use super::value::{EventId, Fixed, Val};
use super::words::{CHANNEL, EVENT_ID, Role};

/// How the value of a bound column follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The block's channel.
    Channel,
    /// The digits of `id`.
    IdAsText,
    /// The event's time in seconds, rounded half up.
    RoundedSeconds,
    /// The event's time in seconds, cut; in milliseconds where the value before is 100,000,000,000 or more.
    Seconds,
    /// The `event_id` that is next after that of the event before; see [`super::value::EventId::next`].
    EventId,
    /// The `event_id` of the event before.
    PreviousEventId,
    /// The event's time and `event_id`, or the time alone where there is none.
    SortKey,
    /// The number in `amount_str`.
    AmountAsNumber,
    /// The number in `price_str`.
    PriceAsNumber,
    /// The value before.
    Last,
}

/// What is known of an event while its columns are coded.
#[derive(Clone, Debug, Default)]
pub(super) struct Current {
    /// The exchange's time, microseconds since the Unix epoch.
    pub(super) time: u64,
    /// The symbol of `event`: a context for others.
    pub(super) event: usize,
    /// The symbol of the side: a context for others.
    pub(super) side: usize,
    pub(super) name: Option<Val>,
    pub(super) id: Option<Val>,
    pub(super) price: Option<Fixed>,
    pub(super) amount: Option<Fixed>,
    pub(super) event_id: Option<EventId>,
    /// The `event_id` of the event before.
    pub(super) chain: Option<EventId>,
    /// The order's last appearance.
    pub(super) order: Option<Order>,
    /// The order as it appears now, but for its id.
    pub(super) next: Order,
    /// Whether the event before has the same time.
    pub(super) same_time: bool,
}

impl Current {
    /// Takes in a value of an order.
    pub(super) fn learn(&mut self, role: Role, value: Val) {
        let fixed = if let Val::Text(fixed) = value { Some(fixed) } else { None };
        match role {
            Role::Side => self.next.side = Some(value),
            Role::Subtype => self.next.subtype = Some(value),
            Role::Price => (self.next.price, self.price) = (Some(value), fixed),
            Role::Amount => (self.next.amount, self.amount) = (Some(value), fixed),
            Role::AmountAtCreate => self.next.at_create = Some(value),
            _ => {}
        }
    }

    /// Takes in a value of a bound column.
    pub(super) fn see(&mut self, number: usize, value: Val) {
        if let (EVENT_ID, Val::EventId(id)) = (number, value) {
            self.event_id = Some(id);
        }
    }

    /// What was traded of the order: what it has less than at its last appearance, a bare zero where that is nothing or not known.
    pub(super) fn traded(&self) -> Option<Val> {
        let Some(Order { amount: Some(Val::Text(before)), .. }) = self.order else {
            return Some(Val::Text(Fixed::default()));
        };
        let after = self.amount?;
        let units = before.units.checked_sub(after.units)?;
        match (units, before.scale == after.scale) {
            (0, _) => Some(Val::Text(Fixed::default())),
            (_, true) => Some(Val::Text(Fixed { units, scale: after.scale })),
            _ => None,
        }
    }
}

const SECOND: u64 = 1_000_000;
const MILLISECOND: u64 = 1_000;
/// From here on a `timestamp` is in milliseconds, as in `shared::time`.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

impl Rule {
    /// The value, if the rule applies; `last` is the column's value in the event before that has it.
    pub(super) fn predict(self, current: &Current, last: Option<Val>) -> Option<Val> {
        let whole = |number: u64| Fixed::of_whole(number).map(Val::Text);
        match self {
            Rule::Channel => Some(Val::Literal(CHANNEL)),
            Rule::IdAsText => match current.id {
                Some(Val::Number(id)) => Some(Val::Text(id)),
                _ => None,
            },
            Rule::RoundedSeconds => whole(current.time.saturating_add(SECOND / 2) / SECOND),
            Rule::Seconds => match last {
                Some(Val::Text(Fixed { units: MILLISECONDS_FROM.., scale: 0 })) => whole(current.time / MILLISECOND),
                _ => whole(current.time / SECOND),
            },
            Rule::EventId => current.chain.map(|before| Val::EventId(before.next(current.time))),
            Rule::PreviousEventId => current.chain.map(Val::EventId),
            Rule::SortKey if current.event_id.is_some() => Some(Val::TimeAndEventId),
            Rule::SortKey => whole(current.time),
            Rule::AmountAsNumber => current.amount.map(|amount| Val::Number(amount.shortest())),
            Rule::PriceAsNumber => current.price.map(|price| Val::Number(price.shortest())),
            Rule::Last => last,
        }
    }

    /// The event id that one which is not as predicted is most like.
    pub(super) fn similar(self, current: &Current) -> EventId {
        match self {
            Rule::EventId => current.chain.unwrap_or_default().next(current.time),
            _ => current.event_id.unwrap_or_default(),
        }
    }
}
