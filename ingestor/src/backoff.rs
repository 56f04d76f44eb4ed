//! The one place that knows the crate `backoff` (named by the project's user, unmaintained upstream).

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// Exponential backoff with full jitter: each wait is drawn evenly between zero and a ceiling that doubles up to a cap.
#[derive(Debug)]
pub struct Backoff {
    inner: ExponentialBackoff,
}

impl Backoff {
    /// Creates a backoff. `first`: ceiling of the first wait; `cap`: highest ceiling.
    #[must_use]
    pub fn new(first: Duration, cap: Duration) -> Backoff {
        // The crate draws from interval * (1 - factor) to interval * (1 + factor), so half the ceiling is its interval.
        let mut inner = ExponentialBackoff {
            initial_interval: first / 2,
            max_interval: cap / 2,
            multiplier: 2.0,
            randomization_factor: 1.0,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        inner.reset();
        Backoff { inner }
    }

    /// Returns the next wait.
    pub fn wait(&mut self) -> Duration {
        self.inner.next_backoff().unwrap_or(self.inner.max_interval * 2)
    }

    /// Starts again from the first ceiling.
    pub fn reset(&mut self) {
        self.inner.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_up_to_the_cap_and_waits_fill_the_range() {
        let (first, cap) = (Duration::from_millis(100), Duration::from_secs(1));
        let (mut low, mut high) = (cap, Duration::ZERO);
        for _ in 0..200 {
            let mut backoff = Backoff::new(first, cap);
            let slack = Duration::from_micros(1);
            assert!(backoff.wait() <= first + slack);
            assert!(backoff.wait() <= first * 2 + slack);
            for _ in 0..10 {
                backoff.wait();
            }
            let wait = backoff.wait();
            assert!(wait <= cap + slack, "{wait:?}");
            (low, high) = (low.min(wait), high.max(wait));
            backoff.reset();
            assert!(backoff.wait() <= first + slack);
        }
        assert!(low < cap / 4 && high > cap * 3 / 4, "{low:?} to {high:?}");
    }
}
