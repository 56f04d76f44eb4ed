use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use shared::time::Micros;

/// This machine's clock in microseconds since the Unix epoch, made strictly increasing: no two frames of a daemon share
/// a `received_at`, so it orders them even when the system's clock is set back.
#[derive(Debug, Default)]
pub struct Clock {
    last: AtomicU64,
}

impl Clock {
    /// A clock that goes on after `last`, the latest time that was handed out before a restart.
    #[must_use]
    pub fn after(last: Micros) -> Clock {
        Clock { last: AtomicU64::new(last.0) }
    }

    /// The time now, later than every time handed out before.
    pub fn now(&self) -> Micros {
        let system = system_micros();
        let mut now = system;
        // The closure never returns `None`, so the update cannot fail.
        let _previous = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
            now = system.max(last + 1);
            Some(now)
        });
        Micros(now)
    }
}

/// The system's clock, as it is.
#[must_use]
pub fn system_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_repeats_and_never_goes_back() {
        let clock = Clock::after(Micros(u64::MAX - 1_000_000));
        let mut last = clock.now();
        assert_eq!(last, Micros(u64::MAX - 999_999));
        for _ in 0..1_000 {
            let now = clock.now();
            assert!(now > last);
            last = now;
        }
    }
}
