//! Measures the skew between the daemon's clock and the exchange's, by events.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Length of a period, in microseconds of the daemon's time; of each period the quickest and the slowest event count.
const PERIOD: u64 = 10_000_000;
/// Number of periods with events that are remembered.
const PERIODS: usize = 12;
/// Age up to which a period is remembered, in microseconds. Without events the latest ones stay.
const AGE: u64 = 120_000_000;
/// Part of the time since a measurement by which the skew may have changed: a clock that was set back goes slower by this
/// ([`crate::clock::Clock`]).
const DRIFT: u64 = 100;

/// Longest delay that is measured, in microseconds beyond the quickest event: an older event is a replay or has a wrong
/// time. A subscription once replayed the last 6.2 s of nine order books (cryptofeed's recording of 2022-01-04).
pub(super) const LONGEST_DELAY: i64 = 10_000_000;

/// Measured skew: the daemon's time minus the exchange's, in microseconds.
///
/// An event is received after the exchange stamped it, so received minus stamped is the skew and the way, which is some
/// milliseconds for the quickest event of a period and at most a second or so for the others, unless the exchange falls behind.
/// Of several periods the smallest such difference and the largest one are kept: with the one the begin of an interval is drawn
/// late, with the other its end early, because what falls behind may end before it has caught up. An event with a wrong time moves
/// only one of them, and that to the safe side.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Skew {
    periods: VecDeque<Period>,
    /// When the latest event was received, by the daemon's clock.
    #[serde(default)]
    latest: u64,
}

/// Differences of one period. States of earlier versions have pairs: number and smallest difference.
#[derive(Debug, Serialize, Deserialize)]
struct Period {
    number: u64,
    least: i64,
    #[serde(default)]
    slowest: Option<i64>,
}

impl Skew {
    /// Notes an event. `received`: by the daemon's clock; `time`: by the exchange's. Returns true if it was slower than all that
    /// are remembered.
    pub(super) fn note(&mut self, received: u64, time: u64) -> bool {
        let apart = received.wrapping_sub(time).cast_signed();
        let number = received / PERIOD;
        self.latest = self.latest.max(received);
        let slower = self.slowest().is_none_or(|slowest| apart > slowest);
        match self.periods.back_mut() {
            Some(last) if last.number >= number => {
                last.least = apart.min(last.least);
                last.slowest = last.slowest.max(Some(apart));
            }
            _ => self.periods.push_back(Period { number, least: apart, slowest: Some(apart) }),
        }
        while self.periods.len() > PERIODS
            || self.periods.front().is_some_and(|first| first.number.saturating_add(AGE / PERIOD) < number)
        {
            self.periods.pop_front();
        }
        slower
    }

    fn slowest(&self) -> Option<i64> {
        self.periods.iter().filter_map(|period| period.slowest).max()
    }

    /// Forgets the measurements; to be called when the clock was set.
    pub(super) fn reset(&mut self) {
        *self = Skew::default();
    }

    /// Returns the smallest measured skew, which is the best estimate; `None` before the first event.
    pub(super) fn least(&self) -> Option<i64> {
        self.periods.iter().map(|period| period.least).min()
    }

    /// Returns both bounds of the skew; `None` before the first event.
    pub(super) fn bounds(&self) -> Option<SkewBounds> {
        let quick = self.periods.iter().map(|period| period.least).max()?;
        let most = self.slowest().unwrap_or(quick).clamp(quick, quick.saturating_add(LONGEST_DELAY));
        let (first, last) = (self.periods.front()?, self.periods.back()?);
        let measured = (first.number.saturating_mul(PERIOD), last.number.saturating_mul(PERIOD).max(self.latest));
        Some(SkewBounds { least: self.least()?, most, measured })
    }
}

/// Smallest and largest measured difference, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SkewBounds {
    least: i64,
    most: i64,
    /// From when to when it was measured, by the daemon's clock.
    measured: (u64, u64),
}

impl SkewBounds {
    /// Converts a time of the daemon to one of the exchange that is not earlier.
    pub(super) fn late(self, time: u64) -> u64 {
        time.saturating_sub_signed(self.least).saturating_add(self.drift(time)).max(1)
    }

    /// Converts a time of the daemon to one of the exchange that is not later.
    pub(super) fn early(self, time: u64) -> u64 {
        time.saturating_sub_signed(self.most).saturating_sub(self.drift(time))
    }

    /// Returns by how much the skew may have changed at a time of the daemon since the nearest measurement.
    fn drift(self, time: u64) -> u64 {
        let (first, last) = self.measured;
        first.saturating_sub(time).max(time.saturating_sub(last)) / DRIFT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_789_459_694_000_000;

    #[test]
    fn the_quickest_and_the_slowest_event_count() {
        let mut skew = Skew::default();
        assert_eq!((skew.least(), skew.bounds()), (None, None));
        for (at, way) in [(0, 900_000), (1, 40_000), (2, 700_000), (10_000_000, 60_000), (10_000_001, 500_000)] {
            skew.note(NOW + at + 10_000_000 + way, NOW + at);
        }
        assert_eq!(skew.least(), Some(10_040_000));
        let bounds = skew.bounds().unwrap();
        let measured = NOW + 20_500_001;
        assert_eq!((bounds.late(measured), bounds.early(measured)), (measured - 10_040_000, measured - 10_900_000));
        let later = measured + 100_000_000;
        assert_eq!((bounds.late(later), bounds.early(later)), (later - 9_040_000, later - 11_900_000), "one percent");
        skew.reset();
        assert_eq!(skew.least(), None);
    }

    #[test]
    fn a_wrong_time_moves_one_side_only_and_is_forgotten() {
        let mut skew = Skew::default();
        skew.note(NOW, NOW + 200_000_000);
        for second in 0..300 {
            skew.note(NOW + second * 1_000_000 + 50_000, NOW + second * 1_000_000);
            if second < 100 {
                assert_eq!(skew.least(), Some(-200_000_000));
            }
        }
        let bounds = skew.bounds().unwrap();
        assert_eq!((bounds.least, bounds.most), (50_000, 50_000));
    }

    #[test]
    fn delays_are_believed_up_to_ten_seconds() {
        let mut skew = Skew::default();
        for (delay, most) in [(50_000, 50_000), (6_200_000, 6_200_000), (3_600_000_000, 10_050_000)] {
            assert!(skew.note(NOW, NOW - delay), "slower than before");
            assert_eq!(skew.bounds().unwrap().most, i64::from(most));
        }
        assert!(!skew.note(NOW, NOW));
    }

    #[test]
    fn the_state_of_an_earlier_version_is_read() {
        let skew: Skew =
            serde_json::from_str(r#"{"periods":[[178945969,50000],[178945970,70000]],"latest":1789459700000001}"#)
                .unwrap();
        let bounds = skew.bounds().unwrap();
        assert_eq!((bounds.least, bounds.most), (50_000, 70_000));
        let again: Skew = serde_json::from_str(&serde_json::to_string(&skew).unwrap()).unwrap();
        assert_eq!(again.bounds(), skew.bounds());
    }

    #[test]
    fn without_events_the_last_measurement_stays() {
        let mut skew = Skew::default();
        skew.note(NOW + 1, NOW);
        skew.note(NOW + 3_600_000_000, NOW + 3_600_000_000);
        assert_eq!(skew.least(), Some(0), "the old one goes with the next");
    }
}
