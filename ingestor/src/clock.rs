//! The daemon's clock: strictly increasing microseconds that follow the machine's clock where that is sane.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shared::time::Micros;

/// Movement against the monotonic clock, in microseconds, from which the machine's clock counts as set. A time daemon
/// that slews stays far below: at most 500 parts per million, 0.3 s in [`BASELINE`].
const STEP: u64 = 500_000;
/// Period over which the two clocks are compared with the same pair of readings.
const BASELINE: Duration = Duration::from_secs(600);
/// Slowdown, in percent, of a clock that is ahead of the machine's, until the two meet. Slow enough for the ledger,
/// which measures the skew to the exchange's clock over minutes.
const SLOWER: u64 = 1;

/// Source of the machine's time.
#[derive(Clone, Debug, Default)]
pub enum Wall {
    /// The system's clock as it is.
    #[default]
    System,
    /// The system's clock plus this many microseconds; for tests.
    Offset(Arc<AtomicI64>),
}

impl Wall {
    fn offset(&self) -> i64 {
        match self {
            Wall::System => 0,
            Wall::Offset(micros) => micros.load(Ordering::Relaxed),
        }
    }
}

/// This machine's clock in microseconds since the Unix epoch, made strictly increasing: no two frames of a daemon share
/// a `received_at`, so it orders them even when the system's clock is set back.
///
/// It follows the machine's clock forward at once. Set back, it does not stand still: it goes on by the monotonic clock, one
/// percent slower, until the machine's clock has caught up. Every step is counted, so that the ledger can end what it
/// says of the time before.
#[derive(Debug)]
pub struct Clock {
    wall: Wall,
    started: Instant,
    course: Mutex<Course>,
}

/// The rule by which the daemon's time advances; pure.
#[derive(Debug)]
pub struct Course {
    /// Latest time handed out.
    last: u64,
    /// Latest time taken from the machine's clock, and the monotonic clock's reading with it, both in microseconds.
    anchor: (u64, u64),
    /// The machine's time minus the monotonic clock's, in microseconds, and the monotonic time of that comparison.
    baseline: Option<(i64, u64)>,
    steps: Steps,
}

/// Steps of the machine's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Number of steps since the daemon started.
    pub count: u64,
    /// Size of the latest step, in microseconds; negative if the clock was set back.
    pub by: i64,
}

impl Clock {
    /// Creates a clock that continues after `last`, the latest time handed out before a restart.
    #[must_use]
    pub fn after(last: Micros, wall: Wall) -> Clock {
        Clock { wall, started: Instant::now(), course: Mutex::new(Course::after(last.0)) }
    }

    /// Returns the time now, later than every time handed out before.
    pub fn now(&self) -> Micros {
        let mut course = self.course.lock().unwrap_or_else(PoisonError::into_inner);
        let wall = system_micros().saturating_add_signed(self.wall.offset());
        Micros(course.now(wall, micros(self.started.elapsed())))
    }

    /// Returns how often the machine's clock was set, as far as [`Clock::now`] has noticed. A time that was handed out before
    /// this call was handed out before every later step.
    #[must_use]
    pub fn steps(&self) -> Steps {
        self.course.lock().unwrap_or_else(PoisonError::into_inner).steps
    }
}

impl Course {
    /// Creates a course that continues after `last`, the latest time handed out before; microseconds since the Unix
    /// epoch.
    #[must_use]
    pub fn after(last: u64) -> Course {
        Course { last, anchor: (last, 0), baseline: None, steps: Steps::default() }
    }

    /// Returns how often the machine's clock was set.
    #[must_use]
    pub fn steps(&self) -> Steps {
        self.steps
    }

    /// Returns the next time, microseconds since the Unix epoch. `wall`: the machine's clock, microseconds since the
    /// Unix epoch; `monotonic`: microseconds since the daemon started.
    pub fn now(&mut self, wall: u64, monotonic: u64) -> u64 {
        self.compare(wall, monotonic);
        let (time, since) = self.anchor;
        let elapsed = monotonic.saturating_sub(since);
        let slow = time.saturating_add(elapsed - elapsed / 100 * SLOWER - elapsed % 100 * SLOWER / 100);
        if wall >= slow {
            self.anchor = (wall, monotonic);
        }
        self.last = wall.max(slow).max(self.last.saturating_add(1));
        self.last
    }

    fn compare(&mut self, wall: u64, monotonic: u64) {
        let apart = wall.wrapping_sub(monotonic).cast_signed();
        let (before, since) = *self.baseline.get_or_insert((apart, monotonic));
        let by = apart.wrapping_sub(before);
        if by.unsigned_abs() > STEP {
            self.steps = Steps { count: self.steps.count + 1, by };
            self.baseline = Some((apart, monotonic));
        } else if monotonic.saturating_sub(since) > micros(BASELINE) {
            self.baseline = Some((apart, monotonic));
        }
    }
}

/// Returns the system's clock as it is: microseconds since the Unix epoch.
#[must_use]
pub fn system_micros() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_789_459_694_000_000;
    const SECOND: u64 = 1_000_000;
    const HOUR: u64 = 3_600 * SECOND;

    #[test]
    fn time_never_repeats_and_never_goes_back() {
        let clock = Clock::after(Micros(u64::MAX - 1_000_000_000), Wall::System);
        let mut last = clock.now();
        for _ in 0..1_000 {
            let now = clock.now();
            assert!(now > last);
            last = now;
        }
    }

    #[test]
    fn a_step_forward_is_followed_and_counted() {
        let mut state = Course::after(0);
        assert_eq!(state.now(START, 7), START);
        assert_eq!(state.now(START + 10, 17), START + 10);
        assert_eq!(state.steps, Steps::default());
        assert_eq!(state.now(START + HOUR, 27), START + HOUR);
        assert_eq!(state.steps.count, 1);
        assert_eq!(state.steps.by, HOUR.cast_signed() - 20);
    }

    /// The clock neither stands still nor stays ahead for ever.
    #[test]
    fn after_a_step_back_time_goes_on_slower_until_the_machine_has_caught_up() {
        let mut state = Course::after(0);
        assert_eq!(state.now(START, 0), START);
        let now = state.now(START - 3 * SECOND + SECOND, SECOND);
        assert_eq!((now, state.steps.count), (START + SECOND / 100 * 99, 1));
        assert_eq!(state.now(START - 3 * SECOND + 60 * SECOND, 60 * SECOND), START + 60 * SECOND / 100 * 99);
        assert_eq!(state.now(START - 3 * SECOND + 299 * SECOND, 299 * SECOND), START + 299 * SECOND / 100 * 99);
        assert_eq!(state.now(START - 3 * SECOND + 301 * SECOND, 301 * SECOND), START + 298 * SECOND);
        assert_eq!(state.steps.count, 1);
    }

    /// The spool holds a later time than the machine has at its start.
    #[test]
    fn a_clock_that_begins_behind_goes_on_after_what_was_handed_out() {
        let mut state = Course::after(START + HOUR);
        assert_eq!(state.now(START, 0), START + HOUR + 1);
        assert_eq!(state.now(START + SECOND, SECOND), START + HOUR + SECOND / 100 * 99);
        assert_eq!(state.now(START + 2 * HOUR, 2 * SECOND), START + 2 * HOUR);
        assert_eq!(state.steps.count, 1);
    }

    #[test]
    fn slewing_is_no_step() {
        let mut state = Course::after(0);
        for minute in 0..600 {
            // 500 parts per million.
            let monotonic = minute * 60 * SECOND;
            state.now(START + monotonic + monotonic / 2_000, monotonic);
        }
        assert_eq!(state.steps.count, 0);
    }
}
