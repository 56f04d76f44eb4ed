//! The events of a block as arrays, without building their texts.

use super::Block;
use super::error::BlockError;
use super::literal::Cell;
use super::rows::Rows;
use super::value::{Fixed, Val};
use super::words::{NAMES, Role};

/// Attributes of a block's events as arrays of equal length: one place for each event, in the order of the block.
///
/// A value that an event does not have, or that is of another form, is `None`; [`Rows`] have everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// `nmicrotimestamp`: microseconds since the Unix epoch by the exchange's clock.
    pub time: Vec<u64>,
    /// `received_at`: microseconds since the Unix epoch by the daemon's clock.
    pub received_at: Vec<Option<u64>>,
    /// `id`.
    pub id: Vec<Option<u64>>,
    /// `event`, as a place in [`Columns::events`].
    pub event: Vec<Option<u32>>,
    /// The names of events, each once.
    pub events: Vec<String>,
    /// `order_type` of an order event or `type` of a trade: 0 for a buyer, 1 for a seller.
    pub side: Vec<Option<u64>>,
    /// `price_str`.
    pub price: Vec<Option<Fixed>>,
    /// `amount_str`.
    pub amount: Vec<Option<Fixed>>,
}

impl Block<'_> {
    /// Decodes all events into arrays.
    ///
    /// # Errors
    ///
    /// [`BlockError::Damaged`].
    pub fn columns(&self) -> Result<Columns, BlockError> {
        let (mut columns, mut rows, mut names) = (Columns::default(), self.rows(), Vec::new());
        while rows.left() > 0 {
            rows.advance()?;
            columns.push(&rows, &mut names);
        }
        Ok(columns)
    }
}

impl Columns {
    /// Appends the event at hand. `names` has the literals of [`Columns::events`].
    fn push(&mut self, rows: &Rows<'_>, names: &mut Vec<u32>) {
        let (mut received_at, mut id, mut event, mut side, mut price, mut amount) =
            (None, None, None, None, None, None);
        let model = &rows.model;
        let shape = model.shapes.get(model.shape).map_or(&[][..], |shape| &shape.names);
        for (number, value) in shape.iter().zip(&model.values) {
            let Some((_, role)) = NAMES.get(*number) else { break };
            let whole = if let Val::Number(fixed) = value { fixed.whole() } else { None };
            let text = if let Val::Text(fixed) = value { Some(*fixed) } else { None };
            match role {
                Role::Event => event = self.name(rows, *value, names),
                Role::Id => id = whole,
                Role::Side => side = whole,
                Role::Price => price = text,
                Role::Amount => amount = text,
                Role::ReceivedAt => received_at = whole,
                _ => {}
            }
        }
        self.time.push(model.time);
        self.received_at.push(received_at);
        self.id.push(id);
        self.event.push(event);
        self.side.push(side);
        self.price.push(price);
        self.amount.push(amount);
    }

    /// The place of an event's name among the names.
    fn name(&mut self, rows: &Rows<'_>, value: Val, names: &mut Vec<u32>) -> Option<u32> {
        let Val::Literal(literal) = value else { return None };
        let place = match names.iter().position(|known| *known == literal) {
            Some(place) => place,
            None => {
                let Cell::Text(name) = rows.model.literals.get(literal) else { return None };
                self.events.push(name.to_owned());
                names.push(literal);
                names.len() - 1
            }
        };
        u32::try_from(place).ok()
    }
}
