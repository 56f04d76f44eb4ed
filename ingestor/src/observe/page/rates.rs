//! Rates from counters, by samples that are taken only while somebody looks.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use shared::channel::Channel;
use tokio::time::Instant;

/// Least distance between two samples.
const APART: Duration = Duration::from_millis(900);
/// Time over which rates of events are counted, at most.
const SPAN: Duration = Duration::from_secs(5);
/// Time over which write units are counted, at most: their price a day is looked at, and a few seconds say little of it.
const LONG_SPAN: Duration = Duration::from_secs(60);

/// Counters at one moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) received: u64,
    pub(super) stored: u64,
    pub(super) units: u64,
    /// Events of each channel.
    pub(super) events: BTreeMap<Channel, u64>,
}

/// The last samples, oldest first.
#[derive(Debug, Default)]
pub(super) struct Rates {
    samples: VecDeque<Sample>,
    units: VecDeque<(Instant, u64)>,
}

impl Rates {
    /// Keeps a sample, unless the last one is nearly as new, and forgets those that are too old.
    pub(super) fn add(&mut self, sample: &Sample) {
        let now = sample.at;
        self.forget(now);
        if self.samples.back().is_none_or(|last| last.at + APART <= now) {
            self.samples.push_back(sample.clone());
            self.units.push_back((now, sample.units));
        }
    }

    /// Forgets samples that are too old at `now`.
    pub(super) fn forget(&mut self, now: Instant) {
        while self.samples.front().is_some_and(|first| first.at + SPAN < now) {
            self.samples.pop_front();
        }
        while self.units.front().is_some_and(|(at, _)| *at + LONG_SPAN < now) {
            self.units.pop_front();
        }
    }

    /// Returns the sample that rates at `now` are counted from; `None` without one of some age.
    pub(super) fn since(&self, now: Instant) -> Option<&Sample> {
        self.samples.front().filter(|first| first.at + APART <= now)
    }

    /// Returns by how much the write units have grown up to `now`, and over what time in microseconds.
    pub(super) fn units_since(&self, now: Instant, units: u64) -> Option<(u64, u64)> {
        let (at, before) = self.units.front().filter(|(at, _)| *at + APART <= now)?;
        Some((units.saturating_sub(*before), micros(now - *at)))
    }
}

/// Returns a rate a second with one decimal.
#[expect(clippy::cast_precision_loss, reason = "rates are shown with one decimal")]
pub(super) fn a_second(grown: u64, over: Duration) -> f64 {
    (grown as f64 / over.as_secs_f64() * 10.0).round() / 10.0
}

/// Returns a duration in microseconds.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, number: u64) -> Sample {
        Sample { at, received: number, stored: number, units: 2 * number, events: BTreeMap::new() }
    }

    #[test]
    fn rates_are_counted_over_the_last_seconds() {
        let start = Instant::now();
        let mut rates = Rates::default();
        for tenth in 0..1_000_u64 {
            rates.add(&sample(start + Duration::from_millis(100 * tenth), tenth));
        }
        let now = start + Duration::from_millis(99_900);
        let since = rates.since(now).unwrap();
        assert!((now - since.at) > SPAN - Duration::from_secs(1) && now - since.at <= SPAN);
        assert!((a_second(999 - since.received, now - since.at) - 10.0).abs() < f64::EPSILON);
        let (grown, over) = rates.units_since(now, 2 * 999).unwrap();
        assert!((59_000_000..=60_000_000).contains(&over), "{over}");
        assert_eq!(grown * 1_000_000 / over, 20);
        assert!(rates.samples.len() <= 7 && rates.units.len() <= 70, "memory is bounded");
    }

    #[test]
    fn what_was_counted_before_a_pause_of_viewers_says_nothing_of_now() {
        let start = Instant::now();
        let mut rates = Rates::default();
        rates.add(&sample(start, 0));
        assert!(rates.since(start + Duration::from_millis(100)).is_none(), "too short a time");
        let later = start + Duration::from_secs(3_600);
        rates.add(&sample(later, 100));
        assert!(rates.since(later).is_none() && rates.units_since(later, 200).is_none());
    }
}
