//! Ids of orders and trades.
//!
//! A snowflake is coded as the age of its milliseconds at the event's time (signed), then, as a number, the low 12 bits minus those that
//! are expected, modulo 4,096: one more than those of the snowflake before if it has the same millisecond, else 0. Ids of
//! `order_created` and all others are learned apart, so "before" means the one before of the same sort. A distance is that from the last
//! id that was coded as a snowflake or a distance.

use super::coder::{Bit, Coder};
use super::number::{Number, Signed, Tree};
use super::value::{Fixed, Val};
use crate::key::{ID_COUNT_BITS as SEQUENCE_BITS, ID_EPOCH};

const SEQUENCE: i64 = (1 << SEQUENCE_BITS) - 1;
const EPOCH: i64 = ID_EPOCH.cast_signed();
/// An id that would be older than this (8.7 years) or this far ahead is no snowflake.
const FARTHEST: u64 = 1 << 38;

/// An order that the block knows, or the value of the event before.
const KNOWN: usize = 0;
/// Milliseconds and a count.
const SNOWFLAKE: usize = 1;
/// The distance from the id before.
const DISTANCE: usize = 2;
/// Anything else.
const OTHER: usize = 3;

/// How an id was coded.
pub(super) enum Coded {
    /// By rank: the order this many orders back.
    Known(usize),
    Id(Val),
    /// Not at all: the column has to.
    Other,
}

/// The ids of one column.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    /// By context.
    kinds: [Tree<4>; 16],
    ranks: Number,
    distances: Signed,
    fresh: Snowflakes,
    old: Snowflakes,
    last: i64,
}

impl Ids {
    pub(super) fn new() -> Ids {
        Ids {
            kinds: [Tree::NEW; 16],
            ranks: Number::new(),
            distances: Signed::new(),
            fresh: Snowflakes::new(),
            old: Snowflakes::new(),
            last: 0,
        }
    }

    /// Codes an id. `context` is the symbol of the event's name, `fresh` whether it creates an order, `rank` finds an order that is known.
    pub(super) fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        (context, fresh): (usize, bool),
        time: u64,
        rank: impl Fn(i64) -> Option<usize>,
        given: Val,
    ) -> Coded {
        let id = if let Val::Number(Fixed { units, scale: 0 }) = given { Some(units) } else { None };
        let rank = if C::READS { None } else { id.and_then(rank) };
        let kind = match id {
            None => OTHER,
            Some(_) if rank.is_some() => KNOWN,
            Some(id) if age(id, time).unsigned_abs() < FARTHEST => SNOWFLAKE,
            Some(_) => DISTANCE,
        };
        let kind = self.kinds.get_mut(context).map_or(OTHER, |kinds| kinds.code(coder, kind));
        let id = id.unwrap_or_default();
        self.last = match kind {
            KNOWN => {
                let rank = self.ranks.code(coder, rank.unwrap_or_default() as u64);
                return Coded::Known(usize::try_from(rank).unwrap_or(usize::MAX));
            }
            SNOWFLAKE if fresh => self.fresh.code(coder, time, id),
            SNOWFLAKE => self.old.code(coder, time, id),
            DISTANCE => self.last.wrapping_add(self.distances.code(coder, id.wrapping_sub(self.last))),
            _ => return Coded::Other,
        };
        Coded::Id(Val::Number(Fixed { units: self.last, scale: 0 }))
    }
}

/// Milliseconds from an id's time to the event's.
fn age(id: i64, time: u64) -> i64 {
    (time / 1_000).cast_signed().wrapping_sub((id >> SEQUENCE_BITS).wrapping_add(EPOCH))
}

#[derive(Clone, Debug)]
struct Snowflakes {
    ages: Signed,
    sequences: Number,
    last: i64,
}

impl Snowflakes {
    fn new() -> Snowflakes {
        Snowflakes { ages: Signed::new(), sequences: Number::new(), last: 0 }
    }

    fn code(&mut self, coder: &mut impl Coder, time: u64, id: i64) -> i64 {
        let age = self.ages.code(coder, age(id, time));
        let millis = (time / 1_000).cast_signed().wrapping_sub(age).wrapping_sub(EPOCH);
        // The count goes on within a millisecond.
        let next = if self.last >> SEQUENCE_BITS == millis { self.last.wrapping_add(1) } else { 0 };
        let sequence = self.sequences.code(coder, (id.wrapping_sub(next) & SEQUENCE).cast_unsigned());
        self.last = millis << SEQUENCE_BITS | (next.wrapping_add(sequence.cast_signed()) & SEQUENCE);
        self.last
    }
}

/// Whether an id is that of the order before, for columns of trades: one taker meets several makers.
#[derive(Clone, Debug)]
pub(super) struct OrderIds {
    ids: Ids,
    repeated: Bit,
}

impl OrderIds {
    pub(super) fn new() -> OrderIds {
        OrderIds { ids: Ids::new(), repeated: Bit::EVEN }
    }

    pub(super) fn code(&mut self, coder: &mut impl Coder, time: u64, last: Option<Val>, given: Val) -> Coded {
        match last {
            Some(last) if coder.bit(&mut self.repeated, last == given) => Coded::Id(last),
            _ => self.ids.code(coder, (0, false), time, |_| None, given),
        }
    }
}
