//! Draws faults from a seed by their probabilities.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// The probability of each fault for one call, each in `0..=1`, their sum at most 1; a call suffers one fault at most.
///
/// A fault that cannot happen to the drawn call (unprocessed items of a `Query`) leaves the call alone, so the
/// sequence of draws depends on the seed and the number of calls only.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultProbabilities {
    /// `BatchWriteItem` stores a random part (possibly nothing) and returns the rest as `UnprocessedItems`.
    pub unprocessed: f64,
    /// A throttling exception whose reason names the table.
    pub throttled_table: f64,
    /// A throttling exception whose reason names the index (writes, and reads of an index).
    pub throttled_index: f64,
    /// 500 `InternalServerError` or 503, before the call or after its effect.
    pub server_error: f64,
    /// No answer, ever; the call took effect or did not.
    pub timeout: f64,
    /// The connection is closed without an answer; the call took effect or did not.
    pub closed: f64,
    /// The call takes effect, a part of its answer is sent, then the connection is closed.
    pub half_written: f64,
    /// The answer is late by up to [`crate::config::Config::slow_limit`].
    pub slow: f64,
    /// `BatchExecuteStatement` answers 200 with errors in some statements; an internal error may hide an effect.
    pub statement_error: f64,
    /// 200 without a body; the call took effect or did not.
    pub empty: f64,
    /// 200 with the body `{}`; the call took effect or did not.
    pub bare: f64,
    /// `BatchWriteItem` answers 200 with `UnprocessedItems` that cannot belong to the call; it took effect or did not.
    pub foreign_unprocessed: f64,
}

impl FaultProbabilities {
    /// Some of everything: about a quarter of all batch calls suffer.
    pub fn rough() -> Self {
        Self {
            unprocessed: 0.06,
            throttled_table: 0.03,
            throttled_index: 0.03,
            server_error: 0.03,
            timeout: 0.005,
            closed: 0.02,
            half_written: 0.01,
            slow: 0.02,
            statement_error: 0.06,
            empty: 0.01,
            bare: 0.01,
            foreign_unprocessed: 0.02,
        }
    }

    fn table(&self) -> [(Fault, f64); 12] {
        [
            (Fault::Unprocessed, self.unprocessed),
            (Fault::ThrottledTable, self.throttled_table),
            (Fault::ThrottledIndex, self.throttled_index),
            (Fault::ServerError, self.server_error),
            (Fault::Timeout, self.timeout),
            (Fault::Closed, self.closed),
            (Fault::HalfWritten, self.half_written),
            (Fault::Slow, self.slow),
            (Fault::StatementError, self.statement_error),
            (Fault::Empty, self.empty),
            (Fault::Bare, self.bare),
            (Fault::ForeignUnprocessed, self.foreign_unprocessed),
        ]
    }

    /// Says what is wrong with the probabilities, if anything.
    pub fn fault_of_values(&self) -> Option<String> {
        for (fault, probability) in self.table() {
            if !(0.0..=1.0).contains(&probability) {
                return Some(format!("probability of `{}` is {probability}, expected 0 to 1", fault.name()));
            }
        }
        let sum: f64 = self.table().iter().map(|(_, probability)| probability).sum();
        (sum > 1.0 + 1e-9).then(|| format!("the probabilities add up to {sum}, expected at most 1"))
    }
}

/// One kind of misbehaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// See [`FaultProbabilities::unprocessed`].
    Unprocessed,
    /// See [`FaultProbabilities::throttled_table`].
    ThrottledTable,
    /// See [`FaultProbabilities::throttled_index`].
    ThrottledIndex,
    /// See [`FaultProbabilities::server_error`].
    ServerError,
    /// See [`FaultProbabilities::timeout`].
    Timeout,
    /// See [`FaultProbabilities::closed`].
    Closed,
    /// See [`FaultProbabilities::half_written`].
    HalfWritten,
    /// See [`FaultProbabilities::slow`].
    Slow,
    /// See [`FaultProbabilities::statement_error`].
    StatementError,
    /// See [`FaultProbabilities::empty`].
    Empty,
    /// See [`FaultProbabilities::bare`].
    Bare,
    /// See [`FaultProbabilities::foreign_unprocessed`].
    ForeignUnprocessed,
    /// Capacity of the table used up: [`crate::budgets::Budgets`].
    TableBudget,
    /// Capacity of the index used up: [`crate::budgets::Budgets`].
    IndexBudget,
    /// The action is not on the allow-list.
    Denied,
    /// The whole endpoint was down: [`crate::config::Outage`].
    Down,
    /// The endpoint behind did not answer; the client's connection was closed.
    Upstream,
}

impl Fault {
    /// The name used in counts and messages, that of the field in [`FaultProbabilities`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Unprocessed => "unprocessed",
            Self::ThrottledTable => "throttled_table",
            Self::ThrottledIndex => "throttled_index",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::HalfWritten => "half_written",
            Self::Slow => "slow",
            Self::StatementError => "statement_error",
            Self::Empty => "empty",
            Self::Bare => "bare",
            Self::ForeignUnprocessed => "foreign_unprocessed",
            Self::TableBudget => "table_budget",
            Self::IndexBudget => "index_budget",
            Self::Denied => "denied",
            Self::Down => "down",
            Self::Upstream => "upstream",
        }
    }
}

/// The one source of chance: what happens to call number n follows from the seed.
#[derive(Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Draws the fault of one call and the generator for that fault's details. Always takes the same number of values,
    /// so that a change of the mix leaves the details of later calls alone.
    pub(crate) fn throw(&mut self, mix: &FaultProbabilities) -> (Option<Fault>, ChaCha8Rng) {
        let mut point: f64 = self.0.random();
        let details = ChaCha8Rng::seed_from_u64(self.0.next_u64());
        for (fault, probability) in mix.table() {
            let probability = probability.clamp(0.0, 1.0);
            if point < probability {
                return (Some(fault), details);
            }
            point -= probability;
        }
        (None, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_faults() {
        let draw = |seed| {
            let mut dice = Dice::new(seed);
            (0..500).map(|_| dice.throw(&FaultProbabilities::rough()).0).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn every_fault_comes_about_as_often_as_asked() {
        let (mix, calls) = (FaultProbabilities::rough(), 100_000);
        let mut dice = Dice::new(1);
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..calls {
            if let (Some(fault), _) = dice.throw(&mix) {
                *seen.entry(fault).or_insert(0_u32) += 1;
            }
        }
        for (fault, probability) in mix.table() {
            let share = f64::from(seen[&fault]) / f64::from(calls);
            assert!((share - probability).abs() < 0.005, "{}: {share} instead of {probability}", fault.name());
        }
    }

    #[test]
    fn impossible_probabilities_are_named() {
        assert_eq!(FaultProbabilities::rough().fault_of_values(), None);
        let negative = FaultProbabilities { slow: -0.1, ..FaultProbabilities::default() };
        assert!(negative.fault_of_values().unwrap().contains("slow"));
        let too_much = FaultProbabilities { slow: 0.6, closed: 0.6, ..FaultProbabilities::default() };
        assert!(too_much.fault_of_values().unwrap().contains("add up"));
    }
}
