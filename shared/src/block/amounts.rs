//! Prices and amounts of orders that are new to the block.
//!
//! Both begin with a rare decision: the value is no decimal text, and plain.
//!
//! - A price is coded like a decimal number of a column, by side: sides with an even symbol share the last price, and so do those with an
//!   odd one.
//! - An amount: even, it is one of the last 16, then its place as a symbol of 16, the latest first. Else its scale as in
//!   a column; rare, it is negative; the number of zeros at its end as a symbol of 32; what stands before them as a number. Either way it
//!   becomes the latest; of one that was new the last place is lost. All 16 are 0 at first.

use super::coder::{Bit, Coder};
use super::column::{FixedModel, scale};
use super::number::{Number, Tree};
use super::value::Fixed;

/// Prices, each side from its own last one.
#[derive(Clone, Debug)]
pub(super) struct Prices {
    /// True where the value is no decimal text.
    pub(super) unusual: Bit,
    sides: [FixedModel; 2],
}

impl Prices {
    pub(super) fn new() -> Prices {
        Prices { unusual: Bit::RARE, sides: [FixedModel::new(), FixedModel::new()] }
    }

    pub(super) fn code(&mut self, coder: &mut impl Coder, side: usize, given: Fixed) -> Fixed {
        let [even, odd] = &mut self.sides;
        if side.is_multiple_of(2) { even.code(coder, given) } else { odd.code(coder, given) }
    }
}

/// Amounts: one of the last ones, or digits and the zeros behind them.
#[derive(Clone, Debug)]
pub(super) struct Amounts {
    /// True where the value is no decimal text.
    pub(super) unusual: Bit,
    repeated: Bit,
    places: Tree<16>,
    /// The latest first.
    recent: [Fixed; 16],
    rescaled: Bit,
    negative: Bit,
    zeros: Tree<32>,
    digits: Number,
}

impl Amounts {
    pub(super) fn new() -> Amounts {
        Amounts {
            unusual: Bit::RARE,
            repeated: Bit::EVEN,
            places: Tree::NEW,
            recent: [Fixed::default(); 16],
            rescaled: Bit::RARE,
            negative: Bit::RARE,
            zeros: Tree::NEW,
            digits: Number::new(),
        }
    }

    pub(super) fn code(&mut self, coder: &mut impl Coder, given: Fixed) -> Fixed {
        let place = self.recent.iter().position(|recent| *recent == given);
        let (amount, place) = if coder.bit(&mut self.repeated, place.is_some()) {
            let place = self.places.code(coder, place.unwrap_or_default());
            (self.recent.get(place).copied().unwrap_or_default(), place)
        } else {
            (self.digits(coder, given), self.recent.len() - 1)
        };
        if let Some(shifted) = self.recent.get_mut(..=place) {
            shifted.rotate_right(1);
        }
        if let Some(first) = self.recent.first_mut() {
            *first = amount;
        }
        amount
    }

    fn digits(&mut self, coder: &mut impl Coder, given: Fixed) -> Fixed {
        let last = self.recent.first().map_or(0, |recent| recent.scale);
        let scale = scale(coder, &mut self.rescaled, last, given.scale);
        let negative = coder.bit(&mut self.negative, given.units < 0);
        let (mut digits, mut zeros) = (given.units.unsigned_abs(), 0);
        while digits > 0 && digits.is_multiple_of(10) {
            digits /= 10;
            zeros += 1;
        }
        let zeros = self.zeros.code(coder, zeros);
        let digits = self.digits.code(coder, digits);
        let units = (0..zeros).fold(digits, |units, _| units.wrapping_mul(10)).cast_signed();
        Fixed { units: if negative { units.wrapping_neg() } else { units }, scale }
    }
}
