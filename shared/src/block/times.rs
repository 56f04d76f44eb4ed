//! The two times of an event: the exchange's and the daemon's.
//!
//! The exchange's is 0 before the first event. The daemon's: even, by whether the exchange's time is that of the event before (2) and
//! whether this decision was true before (1, true at first): it is not 0 to 255 microseconds after the one before. If not, these as a
//! symbol of 256; else the latency's signed deviation from its mean, which is 0 before the first one, then the first one, and then moves
//! by a 16th of each deviation, rounded down. A time that is coded by its distance leaves the mean as it is.

use super::coder::{Bit, Coder};
use super::number::{Number, Signed, Tree};

/// Almost all of the exchange's times are whole milliseconds, microseconds since the Unix epoch.
const MILLISECOND: u64 = 1_000;
/// A mean follows by one part in this many, as a shift.
const MEAN_SHIFT: u32 = 4;

/// The exchange's times.
#[derive(Clone, Debug)]
pub(super) struct Times {
    /// True where the time is no whole millisecond.
    odd: Bit,
    back: Bit,
    millis: Number,
    odd_micros: Signed,
    last: u64,
}

impl Times {
    pub(super) fn new() -> Times {
        Times { odd: Bit::RARE, back: Bit::RARE, millis: Number::new(), odd_micros: Signed::new(), last: 0 }
    }

    /// Codes the next time; returns it, and whether it is that of the event before.
    pub(super) fn code(&mut self, coder: &mut impl Coder, time: u64) -> (u64, bool) {
        let before = self.last;
        self.last = if coder.bit(&mut self.odd, !time.is_multiple_of(MILLISECOND)) {
            let distance = self.odd_micros.code(coder, time.wrapping_sub(before).cast_signed());
            before.wrapping_add_signed(distance)
        } else {
            let (now, then) = (time / MILLISECOND, before / MILLISECOND);
            let back = coder.bit(&mut self.back, now < then);
            let distance = self.millis.code(coder, now.abs_diff(then));
            let millis = if back { then.wrapping_sub(distance) } else { then.wrapping_add(distance) };
            millis.wrapping_mul(MILLISECOND)
        };
        (self.last, self.last == before)
    }
}

/// The daemon's times: shortly after the one before, or as long after the exchange's as on the average.
#[derive(Clone, Debug)]
pub(super) struct Receipts {
    /// True where it is not shortly after the one before; by whether the exchange's time is new, and by what was before.
    apart: [Bit; 4],
    was_apart: bool,
    short: Tree<256>,
    deviation: Signed,
    /// Mean latency, microseconds; `None` before the first event.
    mean: Option<i64>,
    last: u64,
}

impl Receipts {
    pub(super) fn new() -> Receipts {
        Receipts {
            apart: [Bit::EVEN; 4],
            was_apart: true,
            short: Tree::NEW,
            deviation: Signed::new(),
            mean: None,
            last: 0,
        }
    }

    pub(super) fn code(&mut self, coder: &mut impl Coder, time: u64, same_time: bool, received: u64) -> u64 {
        let context = usize::from(same_time) << 1 | usize::from(self.was_apart);
        let after = received.wrapping_sub(self.last);
        let apart = match self.apart.get_mut(context) {
            Some(model) => coder.bit(model, after > 0xff),
            None => false,
        };
        self.was_apart = apart;
        if !apart {
            let after = self.short.code(coder, usize::try_from(after & 0xff).unwrap_or_default());
            self.last = self.last.wrapping_add(after as u64);
            return self.last;
        }
        let mean = self.mean.unwrap_or_default();
        let latency = received.wrapping_sub(time).cast_signed();
        let latency = mean.wrapping_add(self.deviation.code(coder, latency.wrapping_sub(mean)));
        let step = latency.wrapping_sub(mean) >> MEAN_SHIFT;
        self.mean = Some(if self.mean.is_some() { mean.wrapping_add(step) } else { latency });
        self.last = time.wrapping_add_signed(latency);
        self.last
    }
}
