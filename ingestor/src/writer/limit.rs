use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Several requests under way meet the same overload: only the first in this time counts.
const ONE_EVENT: Duration = Duration::from_millis(200);

/// How many requests may be under way: one more after each full round of successes, half after overload (additive
/// increase, multiplicative decrease), between one and a maximum.
#[derive(Debug)]
pub struct Limit {
    state: Mutex<State>,
    max: f64,
}

#[derive(Debug)]
struct State {
    limit: f64,
    halved_at: Option<Instant>,
}

impl Limit {
    /// Starts in the middle.
    #[must_use]
    pub fn new(max: usize) -> Limit {
        let max = u16::try_from(max.max(1)).map_or(f64::from(u16::MAX), f64::from);
        Limit { state: Mutex::new(State { limit: (max / 2.0).max(1.0), halved_at: None }), max }
    }

    /// The limit now, at least one.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 65,535")]
    pub fn get(&self) -> usize {
        self.state().limit as usize
    }

    /// A request was accepted whole.
    pub fn succeeded(&self) {
        let mut state = self.state();
        state.limit = (state.limit + 1.0 / state.limit).min(self.max);
    }

    /// A request was throttled or failed.
    pub fn pushed_back(&self, now: Instant) {
        let mut state = self.state();
        if state.halved_at.is_none_or(|at| now >= at + ONE_EVENT) {
            state.limit = (state.limit / 2.0).max(1.0);
            state.halved_at = Some(now);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_by_one_a_round_and_halves_once_an_event() {
        let limit = Limit::new(64);
        assert_eq!(limit.get(), 32);
        for _ in 0..33 {
            limit.succeeded();
        }
        assert_eq!(limit.get(), 33);
        let now = Instant::now();
        limit.pushed_back(now);
        limit.pushed_back(now + Duration::from_millis(100));
        assert_eq!(limit.get(), 16, "the second answer belongs to the same overload");
        for round in 1..20 {
            limit.pushed_back(now + ONE_EVENT * round);
        }
        assert_eq!(limit.get(), 1);
        for _ in 0..10_000 {
            limit.succeeded();
        }
        assert_eq!(limit.get(), 64);
    }
}
