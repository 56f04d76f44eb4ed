//! The columns that carry what is new of an event: its time, its id, its price.

use super::Model;
use crate::block::coder::Coder;
use crate::block::error::BlockError;
use crate::block::ids::Coded;
use crate::block::predict::Current;
use crate::block::value::{EventId, Fixed, Val};
use crate::block::words::{ORDER_CREATED, Role};

impl Model {
    /// Codes a column that is not bound.
    pub(super) fn free(
        &mut self,
        coder: &mut impl Coder,
        role: Role,
        number: usize,
        is_order: bool,
        current: &mut Current,
        given: Val,
    ) -> Result<Val, BlockError> {
        let context = current.event;
        Ok(match role {
            Role::Event => {
                let (value, symbol) = self.plain(coder, number, self.event, EventId::default(), given)?;
                (current.name, current.event) = (Some(value), symbol);
                value
            }
            Role::Time => {
                let (time, same) = self.times.code(coder, whole(given).unwrap_or_default());
                (current.time, current.same_time) = (time, same);
                Val::Number(Fixed::of_whole(time).ok_or(BlockError::Damaged("a time"))?)
            }
            Role::Id => {
                let value = self.id(coder, number, is_order, current, given)?;
                current.id = Some(value);
                value
            }
            Role::OrderId => {
                let last = self.last(number);
                let [buy, sell] = &mut self.order_ids;
                let ids = if number.is_multiple_of(2) { buy } else { sell };
                match ids.code(coder, current.time, last, given) {
                    Coded::Id(value) => value,
                    _ => self.plain(coder, number, context, EventId::default(), given)?.0,
                }
            }
            Role::ReceivedAt => {
                let received = whole(given);
                if self.missed(coder, number, received.is_none()) {
                    return Ok(self.plain(coder, number, context, EventId::default(), given)?.0);
                }
                let received = received.unwrap_or_default();
                let received = self.receipts.code(coder, current.time, current.same_time, received);
                Val::Number(Fixed::of_whole(received).ok_or(BlockError::Damaged("a received time"))?)
            }
            _ => self.of_order(coder, role, number, current, given)?,
        })
    }

    fn id(
        &mut self,
        coder: &mut impl Coder,
        number: usize,
        is_order: bool,
        current: &mut Current,
        given: Val,
    ) -> Result<Val, BlockError> {
        let fresh = current.name == Some(Val::Literal(ORDER_CREATED));
        let orders = &self.orders;
        let rank = |id| if is_order { orders.rank(id) } else { None };
        match self.ids.code(coder, (current.event, fresh), current.time, rank, given) {
            Coded::Id(value) => Ok(value),
            Coded::Known(rank) => {
                let order = self.orders.take(rank).ok_or(BlockError::Damaged("an order that is not there"))?;
                current.order = Some(order);
                Ok(Val::Number(Fixed { units: order.id, scale: 0 }))
            }
            Coded::Other => Ok(self.plain(coder, number, current.event, EventId::default(), given)?.0),
        }
    }

    /// An attribute of an order or a trade: as at the order's last appearance, or by the means of its column.
    fn of_order(
        &mut self,
        coder: &mut impl Coder,
        role: Role,
        number: usize,
        current: &mut Current,
        given: Val,
    ) -> Result<Val, BlockError> {
        let order = current.order;
        let text = |fixed: Option<Fixed>| fixed.map(Val::Text);
        let (index, expected) = match role {
            Role::Side => (0, order.and_then(|order| order.side)),
            Role::Subtype => (1, order.and_then(|order| order.subtype)),
            Role::Price => (2, order.and_then(|order| order.price)),
            Role::Amount => (3, order.and_then(|order| order.amount)),
            Role::AmountAtCreate => (4, order.map_or(text(current.amount), |order| order.at_create)),
            _ => (5, current.traded()),
        };
        let context = current.event * 2 + usize::from(order.is_some());
        let kept = expected.filter(|expected| {
            let model = self.changed.get_mut(index).and_then(|by_role| by_role.get_mut(context));
            model.is_some_and(|model| !coder.bit(model, *expected != given))
        });
        let value = match (kept, role) {
            (Some(value), _) => value,
            (None, Role::Price | Role::Amount) => self.decimal(coder, number, current, role, given)?,
            (None, _) => self.plain(coder, number, current.event, EventId::default(), given)?.0,
        };
        current.learn(role, value);
        if role == Role::Side {
            current.side = self.columns.get(number).map_or(0, |column| column.symbol(value));
        }
        Ok(value)
    }

    /// Codes a price or an amount; what no number of an array can hold is coded as any other value.
    fn decimal(
        &mut self,
        coder: &mut impl Coder,
        number: usize,
        current: &Current,
        role: Role,
        given: Val,
    ) -> Result<Val, BlockError> {
        let fixed = if let Val::Text(fixed) = given { Some(fixed) } else { None };
        let is_price = role == Role::Price;
        let unusual = if is_price { &mut self.prices.unusual } else { &mut self.amounts.unusual };
        if coder.bit(unusual, fixed.is_none()) {
            return Ok(self.plain(coder, number, current.event, EventId::default(), given)?.0);
        }
        let fixed = fixed.unwrap_or_default();
        Ok(Val::Text(if is_price {
            self.prices.code(coder, current.side, fixed)
        } else {
            self.amounts.code(coder, fixed)
        }))
    }
}

/// The value of a column of whole numbers.
fn whole(value: Val) -> Option<u64> {
    if let Val::Number(fixed) = value { fixed.whole() } else { None }
}
