//! Accounts for calls whose outcome is unknown.

use crate::answer::Outcome;
use crate::progress::as_f64;

/// The charges of calls that may have taken effect, because they failed inside or their answers were lost.
#[derive(Debug, Default)]
pub(super) struct UncertainCharges {
    units: f64,
    changes: usize,
}

impl UncertainCharges {
    /// Returns the units per change that earlier attempts of unknown outcome were charged, after a call with these outcomes.
    pub(super) fn settle(&mut self, charged: f64, outcomes: &[Outcome]) -> f64 {
        if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Transient(_))) {
            self.units += charged;
            self.changes = outcomes.len();
            return 0.0;
        }
        let each = self.units / as_f64(self.changes.max(1) as u64);
        if !outcomes.iter().all(|outcome| matches!(outcome, Outcome::Throttled(_))) {
            *self = Self::default();
        }
        each
    }
}
