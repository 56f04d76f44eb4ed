//! Symbols and whole numbers as decisions.

use super::coder::{Bit, Coder};

/// A symbol of `N` (a power of two), most significant bit first: a tree of decisions.
#[derive(Clone, Debug)]
pub(super) struct Tree<const N: usize>([Bit; N]);

impl<const N: usize> Tree<N> {
    pub(super) const NEW: Tree<N> = Tree([Bit::EVEN; N]);

    pub(super) fn code(&mut self, coder: &mut impl Coder, symbol: usize) -> usize {
        let mut node = 1;
        for shift in (0..N.ilog2()).rev() {
            let bit = coder.bit(self.at(node), symbol >> shift & 1 == 1);
            node = node << 1 | usize::from(bit);
        }
        node - N
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the mask is below the length, a power of two")]
    fn at(&mut self, node: usize) -> &mut Bit {
        &mut self.0[node & (N - 1)]
    }
}

/// Bits behind the leading one that are learned; those behind them are as likely 0 as 1.
const LEARNED: u32 = 3;

/// A whole number of up to 64 bits: its length in bits as a symbol, then the bits behind the leading one.
#[derive(Clone, Debug)]
pub(super) struct Number {
    length: Tree<64>,
    /// By length, as far as lengths were met: a tree of [`LEARNED`] bits each.
    leading: Vec<Tree<8>>,
}

impl Number {
    pub(super) fn new() -> Number {
        Number { length: Tree::NEW, leading: Vec::new() }
    }

    pub(super) fn code(&mut self, coder: &mut impl Coder, value: u64) -> u64 {
        let length = 64 - value.leading_zeros();
        // 63 stands for 63 and 64.
        let symbol = self.length.code(coder, length.min(63) as usize);
        let mut length = u32::try_from(symbol).unwrap_or_default();
        if length == 63 && coder.even(value >> 63 == 1) {
            length = 64;
        }
        if length < 2 {
            return u64::from(length);
        }
        if self.leading.len() <= symbol {
            self.leading.resize(symbol + 1, Tree::NEW);
        }
        let (mut result, mut node) = (1_u64, 1_usize);
        let Some(tree) = self.leading.get_mut(symbol) else { return 0 };
        let behind = length - 1;
        let unlearned = behind.saturating_sub(LEARNED);
        for shift in (unlearned..behind).rev() {
            let bit = coder.bit(tree.at(node), value >> shift & 1 == 1);
            node = node << 1 | usize::from(bit);
            result = result << 1 | u64::from(bit);
        }
        result << unlearned | coder.raw(unlearned, value)
    }
}

/// A whole number with a sign, which is learned by itself.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    negative: Bit,
    magnitude: Number,
}

impl Signed {
    pub(super) fn new() -> Signed {
        Signed { negative: Bit::EVEN, magnitude: Number::new() }
    }

    /// 0, 1, 2, ... have the magnitudes 0, 1, 2, ..., and so have -1, -2, -3, ...
    pub(super) fn code(&mut self, coder: &mut impl Coder, value: i64) -> i64 {
        let negative = coder.bit(&mut self.negative, value < 0);
        let magnitude = self.magnitude.code(coder, (value ^ value >> 63).cast_unsigned()).cast_signed();
        if negative { !magnitude } else { magnitude }
    }
}

#[cfg(test)]
mod tests {
    use super::super::coder::{Decoder, Encoder};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is coded in whatever mixture comes back.
        #[test]
        fn numbers_come_back(values in prop::collection::vec((any::<u64>(), 0_u32..64, 0_usize..16), 0..200)) {
            let mut encoder = Encoder::new();
            let (mut number, mut signed, mut tree) = (Number::new(), Signed::new(), Tree::<16>::NEW);
            for (value, shift, symbol) in &values {
                number.code(&mut encoder, value >> shift);
                signed.code(&mut encoder, value.cast_signed() >> shift);
                tree.code(&mut encoder, *symbol);
                encoder.raw(*shift, *value);
            }
            let bytes = encoder.finish();
            let mut decoder = Decoder::new(&bytes);
            let (mut number, mut signed, mut tree) = (Number::new(), Signed::new(), Tree::<16>::NEW);
            for (value, shift, symbol) in values {
                prop_assert_eq!(number.code(&mut decoder, 0), value >> shift);
                prop_assert_eq!(signed.code(&mut decoder, 0), value.cast_signed() >> shift);
                prop_assert_eq!(tree.code(&mut decoder, 0), symbol);
                prop_assert_eq!(decoder.raw(shift, 0), value & ((1_u64 << shift) - 1));
            }
        }
    }
}
