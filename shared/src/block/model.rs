//! An event of a block, column by column: written once for both directions.

mod free;

use std::sync::Arc;

use super::amounts::{Amounts, Prices};
use super::coder::{Bit, Coder};
use super::column::Column;
use super::error::BlockError;
use super::ids::{Ids, OrderIds};
use super::literals::Literals;
use super::number::{Number, Tree};
use super::orders::{Order, Orders};
use super::predict::{Current, Rule};
use super::shape::{MOST_SHAPES, Names, Shape, role};
use super::times::{Receipts, Times};
use super::value::{EventId, Fixed, Val};
use super::words::{ORDER_DELETED, Role};

/// Shapes from here on have a number instead of a symbol.
const MANY_SHAPES: usize = 15;

/// What a block's events so far teach of the next one, and the event at hand.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) names: Names,
    pub(super) shapes: Vec<Arc<Shape>>,
    pub(super) literals: Literals,
    /// The number of the event's shape.
    pub(super) shape: usize,
    /// The event's values, in the order of its shape's names.
    pub(super) values: Vec<Val>,
    /// The exchange's time of the event.
    pub(super) time: u64,
    known_shapes: usize,
    shape_symbols: Tree<16>,
    shape_numbers: Number,
    columns: Vec<Column>,
    times: Times,
    receipts: Receipts,
    ids: Ids,
    order_ids: [OrderIds; 2],
    prices: Prices,
    amounts: Amounts,
    /// True where an attribute of an order is not as expected: by role, then by the event's name and whether the order is known.
    changed: [[Bit; 32]; 6],
    /// True where some bound column is not as predicted.
    odd: Bit,
    orders: Orders,
    chain: Option<EventId>,
    event: usize,
}

impl Model {
    pub(super) fn new(literals: Literals) -> Model {
        Model {
            names: Names::new(),
            shapes: Vec::new(),
            literals,
            shape: 0,
            values: Vec::new(),
            time: 0,
            known_shapes: 0,
            shape_symbols: Tree::NEW,
            shape_numbers: Number::new(),
            columns: Vec::new(),
            times: Times::new(),
            receipts: Receipts::new(),
            ids: Ids::new(),
            order_ids: [OrderIds::new(), OrderIds::new()],
            prices: Prices::new(),
            amounts: Amounts::new(),
            changed: [[Bit::RARE; 32]; 6],
            odd: Bit::RARE,
            orders: Orders::default(),
            chain: None,
            event: 0,
        }
    }

    /// Codes an event. The writer has put its shape and its values into the model; the reader finds them there afterwards.
    pub(super) fn event<C: Coder>(&mut self, coder: &mut C) -> Result<(), BlockError> {
        let shape = self.shape(coder)?;
        self.values.resize(shape.names.len(), Val::Literal(0));
        self.columns.resize(self.names.len(), Column::new());
        let mut current = Current { chain: self.chain, ..Current::default() };
        let mut bound = shape.names.len();
        for (place, number) in shape.names.iter().enumerate() {
            let role = role(*number);
            if matches!(role, Role::Bound(_)) {
                bound = place;
                break;
            }
            let given = self.value(place);
            let value = self.free(coder, role, *number, shape.is_order, &mut current, given)?;
            self.set(place, *number, value);
        }
        self.bound(coder, &shape, bound, &mut current)?;
        self.time = current.time;
        self.event = current.event;
        self.chain = current.event_id.or(self.chain);
        if let Some(Val::Number(Fixed { units, scale: 0 })) = current.id
            && shape.is_order
            && current.name != Some(Val::Literal(ORDER_DELETED))
        {
            self.orders.put(Order { id: units, ..current.next });
        }
        Ok(())
    }

    fn shape(&mut self, coder: &mut impl Coder) -> Result<Arc<Shape>, BlockError> {
        let symbol = self.shape_symbols.code(coder, self.shape.min(MANY_SHAPES));
        self.shape = match symbol {
            MANY_SHAPES => usize::try_from(self.shape_numbers.code(coder, self.shape as u64)).unwrap_or(usize::MAX),
            symbol => symbol,
        };
        if self.shape == self.known_shapes {
            self.known_shapes += 1;
            if self.shapes.len() < self.known_shapes.min(MOST_SHAPES) {
                let names = &mut self.names;
                let shape = self.literals.read_raw(|bytes| names.read(bytes)).ok_or(BlockError::Damaged("a shape"))?;
                self.shapes.push(Arc::new(shape));
            }
        }
        self.shapes.get(self.shape).cloned().ok_or(BlockError::Damaged("a shape that is not there"))
    }

    fn value(&self, place: usize) -> Val {
        self.values.get(place).copied().unwrap_or(Val::Literal(0))
    }

    fn set(&mut self, place: usize, number: usize, value: Val) {
        if let Some(kept) = self.values.get_mut(place) {
            *kept = value;
        }
        if let Some(column) = self.columns.get_mut(number) {
            column.last = Some(value);
        }
    }

    /// Codes a value that its column knows nothing better of.
    fn plain(
        &mut self,
        coder: &mut impl Coder,
        number: usize,
        context: usize,
        similar: EventId,
        given: Val,
    ) -> Result<(Val, usize), BlockError> {
        let revealed = self.literals.revealed;
        let column = self.columns.get_mut(number).ok_or(BlockError::Damaged("a column"))?;
        let (value, symbol) = column.code(coder, context, similar, revealed, given);
        if value == Val::Literal(revealed) && !self.literals.reveal() {
            return Err(BlockError::Damaged("a literal"));
        }
        Ok((value, symbol))
    }

    fn missed(&mut self, coder: &mut impl Coder, number: usize, missed: bool) -> bool {
        self.columns.get_mut(number).is_some_and(|column| coder.bit(&mut column.missed, missed))
    }

    /// Codes the columns that follow from others, from the place `first` on.
    fn bound<C: Coder>(
        &mut self,
        coder: &mut C,
        shape: &Shape,
        first: usize,
        current: &mut Current,
    ) -> Result<(), BlockError> {
        let columns = || shape.names.iter().enumerate().skip(first);
        let odd = !C::READS
            && columns().any(|(place, number)| {
                let given = self.value(place);
                current.see(*number, given);
                self.predict(*number, current) != Some(given)
            });
        current.event_id = None;
        let odd = coder.bit(&mut self.odd, odd);
        for (place, number) in columns() {
            let given = self.value(place);
            let predicted = self.predict(*number, current);
            let value = match predicted {
                Some(value) if !odd || !self.missed(coder, *number, value != given) => value,
                None if !odd => return Err(BlockError::Damaged("a value that nothing predicts")),
                _ => {
                    let similar = rule(*number).similar(current);
                    self.plain(coder, *number, 0, similar, given)?.0
                }
            };
            current.see(*number, value);
            self.set(place, *number, value);
        }
        Ok(())
    }

    /// The column's value in the last event that has it.
    pub(super) fn last(&self, number: usize) -> Option<Val> {
        self.columns.get(number).and_then(|column| column.last)
    }

    fn predict(&self, number: usize, current: &Current) -> Option<Val> {
        rule(number).predict(current, self.last(number))
    }
}

fn rule(number: usize) -> Rule {
    if let Role::Bound(rule) = role(number) { rule } else { Rule::Last }
}
