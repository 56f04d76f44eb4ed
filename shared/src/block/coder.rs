//! An adaptive binary arithmetic coder: 32-bit bounds, one decision at a time.
//!
//! [`Coder`] is both directions in one: the encoder writes the decision that it is given and returns it, the decoder ignores what it is
//! given and returns the decision that was written. What decides in which order things are coded is therefore written once, for both.

/// The probability of a decision being true, learned from the decisions before: 22 bits of probability, 10 bits of experience.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bit(u32);

const COUNT_BITS: u32 = 10;
const COUNT_MASK: u32 = (1 << COUNT_BITS) - 1;
const ONE: u32 = 1 << 22;
/// Experience beyond which a probability follows the last decisions: the step never gets smaller than one part in this.
const LIMIT: u32 = 160;
/// What no probability goes beyond, in 65,536ths.
const MARGIN: u32 = 24;

/// The step by experience `n`, in 65,536ths: `1 / (n + 1.5)`.
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "the compiler evaluates it; 43,690 at most"
)]
const STEPS: [u16; LIMIT as usize + 1] = {
    let mut steps = [0; LIMIT as usize + 1];
    let mut n = 0;
    while n <= LIMIT {
        steps[n as usize] = (131_072 / (2 * n + 3)) as u16;
        n += 1;
    }
    steps
};

impl Bit {
    /// A decision of which nothing is known.
    pub(super) const EVEN: Bit = Bit::with(2, 0);
    /// A decision that is false as a rule: an exception.
    pub(super) const RARE: Bit = Bit::with(24, 6);

    /// True once in `one_in`, with the experience of `count` decisions.
    const fn with(one_in: u32, count: u32) -> Bit {
        Bit((ONE / one_in) << COUNT_BITS | count)
    }

    /// The probability of true in 65,536ths.
    #[inline]
    fn probability(self) -> u64 {
        u64::from((self.0 >> 16).clamp(MARGIN, 65_536 - MARGIN))
    }

    #[inline]
    fn learn(&mut self, bit: bool) {
        let (probability, count) = (self.0 >> COUNT_BITS, self.0 & COUNT_MASK);
        let step = u64::from(STEPS.get(count as usize).copied().unwrap_or_default());
        let part = |distance: u32| u32::try_from((u64::from(distance) * step) >> 16).unwrap_or_default();
        let probability = if bit { probability + part(ONE - 1 - probability) } else { probability - part(probability) };
        self.0 = probability << COUNT_BITS | (count + 1).min(LIMIT);
    }
}

/// One direction of the coder.
pub(super) trait Coder {
    /// True if decisions are read: what is given to the methods then means nothing.
    const READS: bool;

    /// Codes a decision whose probability is learned.
    fn bit(&mut self, model: &mut Bit, bit: bool) -> bool;

    /// Codes the lowest `count` bits of a number, at most 64, the highest first: each is as likely 1 as 0.
    fn raw(&mut self, count: u32, bits: u64) -> u64;

    /// Codes a decision that is as likely true as false.
    fn even(&mut self, bit: bool) -> bool {
        self.raw(1, bit.into()) == 1
    }
}

/// The bounds of what is still possible: every number from `low` to `high`.
#[derive(Clone, Debug)]
struct Bounds {
    low: u32,
    high: u32,
}

impl Bounds {
    const ALL: Bounds = Bounds { low: 0, high: u32::MAX };

    /// The last number that means true.
    #[inline]
    fn middle(&self, probability: u64) -> u32 {
        let part = (u64::from(self.high - self.low) * probability) >> 16;
        self.low + u32::try_from(part).unwrap_or_default()
    }

    /// The same where both are as likely.
    #[inline]
    fn half(&self) -> u32 {
        self.low + ((self.high - self.low) >> 1)
    }

    #[inline]
    fn narrow(&mut self, middle: u32, bit: bool) {
        if bit { self.high = middle } else { self.low = middle + 1 }
    }

    /// The first byte of all numbers, once they share it.
    #[inline]
    fn shared(&self) -> Option<u8> {
        let [low, ..] = self.low.to_be_bytes();
        let [high, ..] = self.high.to_be_bytes();
        (low == high).then_some(low)
    }

    fn shift(&mut self) {
        self.low <<= 8;
        self.high = self.high << 8 | 0xff;
    }
}

/// Writes decisions.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    bounds: Bounds,
    bytes: Vec<u8>,
}

impl Encoder {
    pub(super) fn new() -> Encoder {
        Encoder { bounds: Bounds::ALL, bytes: Vec::new() }
    }

    /// The number of bytes that the decisions so far take.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + 1
    }

    /// The bytes. A reader takes zeros for what is behind their end, so one byte settles the last decisions, and zeros are left out.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let [first, ..] = self.bounds.low.to_be_bytes();
        if self.bounds.low > 0 {
            // The first bytes of the bounds differ, so this is not beyond the upper one.
            self.bytes.push(first + 1);
        }
        while self.bytes.last() == Some(&0) {
            self.bytes.pop();
        }
        self.bytes
    }

    #[inline]
    fn narrow(&mut self, middle: u32, bit: bool) {
        self.bounds.narrow(middle, bit);
        while let Some(byte) = self.bounds.shared() {
            self.bytes.push(byte);
            self.bounds.shift();
        }
    }
}

impl Coder for Encoder {
    const READS: bool = false;

    #[inline]
    fn bit(&mut self, model: &mut Bit, bit: bool) -> bool {
        self.narrow(self.bounds.middle(model.probability()), bit);
        model.learn(bit);
        bit
    }

    fn raw(&mut self, count: u32, bits: u64) -> u64 {
        (0..count).rev().fold(0, |coded, shift| {
            let bit = bits >> shift & 1;
            self.narrow(self.bounds.half(), bit == 1);
            coded << 1 | bit
        })
    }
}

/// Reads decisions.
#[derive(Clone, Debug)]
pub(super) struct Decoder<'block> {
    bounds: Bounds,
    number: u32,
    rest: &'block [u8],
}

impl<'block> Decoder<'block> {
    pub(super) fn new(bytes: &'block [u8]) -> Decoder<'block> {
        let mut decoder = Decoder { bounds: Bounds::ALL, number: 0, rest: bytes };
        for _ in 0..4 {
            decoder.take();
        }
        decoder
    }

    #[inline]
    fn take(&mut self) {
        let (byte, rest) = self.rest.split_first().unwrap_or((&0, &[]));
        self.rest = rest;
        self.number = self.number << 8 | u32::from(*byte);
    }

    #[inline]
    fn decide(&mut self, middle: u32) -> bool {
        let bit = self.number <= middle;
        self.bounds.narrow(middle, bit);
        while self.bounds.shared().is_some() {
            self.bounds.shift();
            self.take();
        }
        bit
    }
}

impl Coder for Decoder<'_> {
    const READS: bool = true;

    #[inline]
    fn bit(&mut self, model: &mut Bit, _: bool) -> bool {
        let bit = self.decide(self.bounds.middle(model.probability()));
        model.learn(bit);
        bit
    }

    fn raw(&mut self, count: u32, _: u64) -> u64 {
        // A local copy stays in registers.
        let mut decoder = self.clone();
        let bits = (0..count).fold(0, |bits, _| bits << 1 | u64::from(decoder.decide(decoder.bounds.half())));
        *self = decoder;
        bits
    }
}
