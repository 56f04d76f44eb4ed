//! One attribute over the events of a block: the values it had, and how a further one is coded.
//!
//! Behind the symbol of a value that is none of the column's first eleven:
//!
//! - A decimal number: rare, its scale is not that of the last one, then 5 raw bits for the scale; even, it is coded by itself, then as a
//!   signed number; else its signed distance from the last one, in units. The column's texts and numbers share the last one, 0 at first.
//! - A literal: rare, it is one that was named before, then its distance back from the number of literals named (signed); else the next.
//! - An event id: for each of its 16 bytes, even by its place: it differs from that of a similar id, then 8 raw bits. Similar to an
//!   `event_id` is the next after that of the event before, to any other the event's own.
//! - A sort key: even, it has a hash, then 64 raw bits.

use super::coder::{Bit, Coder};
use super::number::{Signed, Tree};
use super::value::{EventId, Fixed, Val};

/// Values of a column that have a symbol of their own: its first ones.
const SLOTS: usize = 11;
const TEXT: usize = 11;
const NUMBER: usize = 12;
const LITERAL: usize = 13;
const EVENT_ID: usize = 14;
const SORT_KEY: usize = 15;

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// True where the value is not as predicted.
    pub(super) missed: Bit,
    pub(super) last: Option<Val>,
    slots: Vec<Val>,
    /// By context.
    classes: Vec<Tree<16>>,
    figures: Option<Box<Figures>>,
}

/// What numbers, literals and ids need, which most columns never have.
#[derive(Clone, Debug)]
struct Figures {
    fixed: FixedModel,
    known: Bit,
    literals: Signed,
    event_id: [Bit; 16],
    hashed: Bit,
}

impl Column {
    pub(super) const fn new() -> Column {
        Column { missed: Bit::RARE, last: None, slots: Vec::new(), classes: Vec::new(), figures: None }
    }

    /// Codes a value that nothing predicts; `context` is a small number by which symbols are learned, `similar` what an event id is like.
    /// Returns the value and its symbol.
    pub(super) fn code(
        &mut self,
        coder: &mut impl Coder,
        context: usize,
        similar: EventId,
        revealed: u32,
        given: Val,
    ) -> (Val, usize) {
        if self.classes.len() <= context {
            self.classes.resize(context + 1, Tree::NEW);
        }
        let symbol = self.symbol(given);
        let symbol = self.classes.get_mut(context).map_or(0, |classes| classes.code(coder, symbol));
        if let Some(value) = self.slots.get(symbol) {
            return (*value, symbol);
        }
        let figures = self.figures.get_or_insert_with(|| Box::new(Figures::new()));
        let value = figures.code(coder, symbol, similar, revealed, given);
        if self.slots.len() < SLOTS {
            self.slots.push(value);
        }
        (value, symbol)
    }

    pub(super) fn symbol(&self, given: Val) -> usize {
        self.slots.iter().position(|slot| *slot == given).unwrap_or(match given {
            Val::Text(_) => TEXT,
            Val::Number(_) => NUMBER,
            Val::Literal(_) => LITERAL,
            Val::EventId(_) => EVENT_ID,
            Val::TimeAndEventId | Val::TimeAndHash(_) => SORT_KEY,
        })
    }
}

impl Figures {
    fn new() -> Figures {
        Figures {
            fixed: FixedModel::new(),
            known: Bit::RARE,
            literals: Signed::new(),
            event_id: [Bit::EVEN; 16],
            hashed: Bit::EVEN,
        }
    }

    fn code(&mut self, coder: &mut impl Coder, symbol: usize, similar: EventId, revealed: u32, given: Val) -> Val {
        match symbol {
            TEXT => Val::Text(self.fixed.code(coder, fixed_of(given))),
            NUMBER => Val::Number(self.fixed.code(coder, fixed_of(given))),
            EVENT_ID => Val::EventId(self.event_id(coder, similar, given)),
            SORT_KEY => {
                let hash = if let Val::TimeAndHash(hash) = given { Some(hash) } else { None };
                match coder.bit(&mut self.hashed, hash.is_some()) {
                    true => Val::TimeAndHash(coder.raw(64, hash.unwrap_or_default())),
                    false => Val::TimeAndEventId,
                }
            }
            // Also what a symbol of a slot that is not there means, in a forged block.
            _ => {
                let number = if let Val::Literal(number) = given { number } else { 0 };
                if !coder.bit(&mut self.known, number < revealed) {
                    return Val::Literal(revealed);
                }
                let back = self.literals.code(coder, i64::from(revealed) - i64::from(number));
                Val::Literal(u32::try_from(i64::from(revealed).wrapping_sub(back)).unwrap_or_default())
            }
        }
    }

    /// The bytes that differ from those of the similar one.
    fn event_id(&mut self, coder: &mut impl Coder, similar: EventId, given: Val) -> EventId {
        let given = if let Val::EventId(id) = given { id } else { similar };
        let mut id = EventId::default();
        let halves = [(&mut id.time, similar.time, given.time), (&mut id.rest, similar.rest, given.rest)];
        let mut models = self.event_id.iter_mut();
        for (half, similar, given) in halves {
            for shift in (0..64).step_by(8).rev() {
                let (byte, like) = (given >> shift & 0xff, similar >> shift & 0xff);
                let differs = models.next().is_some_and(|model| coder.bit(model, byte != like));
                *half |= if differs { coder.raw(8, byte) } else { like } << shift;
            }
        }
        id
    }
}

/// The digits of a value that has any.
pub(super) fn fixed_of(value: Val) -> Fixed {
    match value {
        Val::Text(fixed) | Val::Number(fixed) => fixed,
        _ => Fixed::default(),
    }
}

/// A decimal number, by itself or by its distance from the last one.
#[derive(Clone, Debug)]
pub(super) struct FixedModel {
    rescaled: Bit,
    /// True where the number is coded by itself.
    apart: Bit,
    distances: Signed,
    wholes: Signed,
    base: Fixed,
}

impl FixedModel {
    pub(super) fn new() -> FixedModel {
        FixedModel {
            rescaled: Bit::RARE,
            apart: Bit::EVEN,
            distances: Signed::new(),
            wholes: Signed::new(),
            base: Fixed::default(),
        }
    }

    pub(super) fn code(&mut self, coder: &mut impl Coder, given: Fixed) -> Fixed {
        let scale = scale(coder, &mut self.rescaled, self.base.scale, given.scale);
        let distance = given.units.wrapping_sub(self.base.units);
        let apart = given.units.unsigned_abs() < distance.unsigned_abs();
        let units = match coder.bit(&mut self.apart, apart) {
            true => self.wholes.code(coder, given.units),
            false => self.base.units.wrapping_add(self.distances.code(coder, distance)),
        };
        self.base = Fixed { units, scale };
        self.base
    }
}

/// The scale of a number, which is that of the last one as a rule.
pub(super) fn scale(coder: &mut impl Coder, rescaled: &mut Bit, last: u8, given: u8) -> u8 {
    if !coder.bit(rescaled, last != given) {
        return last;
    }
    let scale = coder.raw(5, u64::from(given));
    u8::try_from(scale).unwrap_or_default().min(Fixed::MAX_SCALE)
}
