//! Limits how many requests are in flight.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Time within which several requests in flight meet the same overload: only the first counts.
const ONE_EVENT: Duration = Duration::from_millis(200);

/// Limits how many requests are in flight: one more after each full round of successes, half after overload (additive
/// increase, multiplicative decrease), between one and a maximum. A batch that waits for its next attempt is not in
/// flight and holds up nobody.
#[derive(Debug)]
pub struct Limit {
    state: Mutex<LimitState>,
    max: f64,
    /// Notified when a permit may have become free.
    freed: Notify,
}

#[derive(Debug)]
struct LimitState {
    limit: f64,
    under_way: usize,
    halved_at: Option<Instant>,
}

/// Permission for one request, until it is dropped.
#[derive(Debug)]
pub struct Permit<'limit>(&'limit Limit);

impl Limit {
    /// Creates a limit in the middle between one and `max`.
    #[must_use]
    pub fn new(max: usize) -> Limit {
        let max = u16::try_from(max.max(1)).map_or(f64::from(u16::MAX), f64::from);
        let state = LimitState { limit: (max / 2.0).max(1.0), under_way: 0, halved_at: None };
        Limit { state: Mutex::new(state), max, freed: Notify::new() }
    }

    /// Returns the limit now, at least one.
    #[must_use]
    pub fn get(&self) -> usize {
        self.state().whole()
    }

    /// Waits for a permit.
    ///
    /// # Cancel safety
    ///
    /// A dropped wait takes no permit.
    pub async fn acquire(&self) -> Permit<'_> {
        loop {
            let freed = self.freed.notified();
            if self.try_acquire() {
                // There may be room for another that waits.
                self.freed.notify_one();
                return Permit(self);
            }
            freed.await;
        }
    }

    fn try_acquire(&self) -> bool {
        let mut state = self.state();
        let free = state.under_way < state.whole();
        state.under_way += usize::from(free);
        free
    }

    /// Notes that a request was accepted whole.
    pub fn succeeded(&self) {
        let mut state = self.state();
        state.limit = (state.limit + 1.0 / state.limit).min(self.max);
    }

    /// Notes that a request was throttled or failed.
    pub fn overloaded(&self, now: Instant) {
        let mut state = self.state();
        if state.halved_at.is_none_or(|at| now >= at + ONE_EVENT) {
            state.limit = (state.limit / 2.0).max(1.0);
            state.halved_at = Some(now);
        }
    }

    fn state(&self) -> MutexGuard<'_, LimitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LimitState {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 65,535")]
    fn whole(&self) -> usize {
        self.limit as usize
    }
}

impl Drop for Permit<'_> {
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
        let first = limit.acquire().await;
        let second = limit.acquire().await;
        assert!(limit.acquire().now_or_never().is_none(), "two of two are taken");
        let mut waiting = std::pin::pin!(limit.acquire());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        let third = waiting.await;
        for _ in 0..3 {
            limit.succeeded();
        }
        let fourth = limit.acquire().await;
        assert!(limit.acquire().now_or_never().is_none(), "three of three are taken");
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
        limit.overloaded(now);
        limit.overloaded(now + Duration::from_millis(100));
        assert_eq!(limit.get(), 16, "the second answer belongs to the same overload");
        for round in 1..20 {
            limit.overloaded(now + ONE_EVENT * round);
        }
        assert_eq!(limit.get(), 1);
        for _ in 0..10_000 {
            limit.succeeded();
        }
        assert_eq!(limit.get(), 64);
    }
}
