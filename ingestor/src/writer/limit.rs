use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Several requests under way meet the same overload: only the first in this time counts.
const ONE_EVENT: Duration = Duration::from_millis(200);

/// How many requests may be under way: one more after each full round of successes, half after overload (additive
/// increase, multiplicative decrease), between one and a maximum. A batch that waits for its next attempt is not under
/// way and holds up nobody.
#[derive(Debug)]
pub struct Limit {
    state: Mutex<State>,
    max: f64,
    /// A place may have become free.
    freed: Notify,
}

#[derive(Debug)]
struct State {
    limit: f64,
    under_way: usize,
    halved_at: Option<Instant>,
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub struct Place<'limit>(&'limit Limit);

impl Limit {
    /// Starts in the middle.
    #[must_use]
    pub fn new(max: usize) -> Limit {
        let max = u16::try_from(max.max(1)).map_or(f64::from(u16::MAX), f64::from);
        let state = State { limit: (max / 2.0).max(1.0), under_way: 0, halved_at: None };
        Limit { state: Mutex::new(state), max, freed: Notify::new() }
    }

    /// The limit now, at least one.
    #[must_use]
    pub fn get(&self) -> usize {
        self.state().whole()
    }

    /// Waits for a place.
    ///
    /// # Cancel safety
    ///
    /// A dropped wait takes no place.
    pub async fn place(&self) -> Place<'_> {
        loop {
            let freed = self.freed.notified();
            if self.take() {
                // There may be room for another that waits.
                self.freed.notify_one();
                return Place(self);
            }
            freed.await;
        }
    }

    fn take(&self) -> bool {
        let mut state = self.state();
        let free = state.under_way < state.whole();
        state.under_way += usize::from(free);
        free
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

impl State {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 65,535")]
    fn whole(&self) -> usize {
        self.limit as usize
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn no_more_are_under_way_than_the_limit_says() {
        let limit = Limit::new(4);
        let first = limit.place().await;
        let second = limit.place().await;
        assert!(limit.place().now_or_never().is_none(), "two of two are taken");
        let mut waiting = std::pin::pin!(limit.place());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        let third = waiting.await;
        for _ in 0..3 {
            limit.succeeded();
        }
        let fourth = limit.place().await;
        assert!(limit.place().now_or_never().is_none(), "three of three are taken");
        drop((second, third, fourth));
        assert_eq!(limit.state().under_way, 0);
    }

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
