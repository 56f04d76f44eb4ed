//! Finds the gaps that may be filled.

use shared::coverage::{Interval, State};

/// Length of what must be known behind a gap, in microseconds: the second that a fetched trade names, and one more.
const MARGIN: u64 = 2_000_000;

/// A gap behind which the capture went on. Microseconds since the Unix epoch, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// First moment of which something may be missing.
    pub from: u64,
    /// Last moment of which something may be missing.
    pub through: u64,
}

/// The gaps of a channel.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FoundGaps {
    /// Gaps that can be filled now.
    pub ready: Vec<Gap>,
    /// True if there are others, of which it is not known yet what comes after them.
    pub more: bool,
}

/// Finds the gaps that ended by `until` in the merged intervals of a channel, which are in order and without holes. A gap at their very
/// beginning may have begun earlier, and is left.
#[must_use]
pub fn find_gaps(known: &[Interval], until: u64) -> FoundGaps {
    let mut gaps = FoundGaps::default();
    let mut open: Option<Gap> = None;
    for (place, interval) in known.iter().enumerate() {
        let Interval { from, through, state, .. } = interval;
        match state {
            // It began before the intervals do.
            State::Gap if place == 0 => {}
            State::Gap => open = Some(Gap { from: open.map_or(*from, |gap| gap.from), through: *through }),
            State::Unknown | State::Expired => gaps.more |= open.take().is_some(),
            State::Captured | State::Filled => match open {
                // Too short to stand alone: fetched again with the gaps around it.
                Some(gap) if through - from < MARGIN => open = Some(Gap { through: *through, ..gap }),
                Some(gap) => {
                    open = None;
                    let ready = gap.through <= until;
                    gaps.ready.extend(ready.then_some(gap));
                    gaps.more |= !ready;
                }
                None => {}
            },
        }
    }
    gaps.more |= open.is_some();
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn known(states: &[(State, u64)]) -> Vec<Interval> {
        let mut from = 0;
        states
            .iter()
            .map(|(state, seconds)| {
                let interval = Interval { from, through: from + seconds * SECOND - 1, state: *state, reason: None };
                from += seconds * SECOND;
                interval
            })
            .collect()
    }

    fn gap(from: u64, end: u64) -> super::Gap {
        super::Gap { from: from * SECOND, through: end * SECOND - 1 }
    }

    use State::{Captured, Filled, Gap, Unknown};

    #[test]
    fn a_gap_between_known_neighbours_is_ready() {
        let states = known(&[(Captured, 10), (Gap, 5), (Captured, 10), (Gap, 1), (Filled, 9), (Gap, 3)]);
        let found = find_gaps(&states, 100 * SECOND);
        assert_eq!(found, FoundGaps { ready: vec![gap(10, 15), gap(25, 26)], more: true });
    }

    #[test]
    fn a_gap_waits_for_what_is_behind_it_and_for_its_time() {
        assert_eq!(find_gaps(&known(&[(Captured, 9), (Gap, 5)]), u64::MAX), FoundGaps { ready: vec![], more: true });
        assert_eq!(
            find_gaps(&known(&[(Captured, 9), (Gap, 5), (Captured, 1)]), u64::MAX),
            FoundGaps { ready: vec![], more: true }
        );
        let whole = known(&[(Captured, 9), (Gap, 5), (Captured, 9)]);
        assert_eq!(find_gaps(&whole, 13 * SECOND), FoundGaps { ready: vec![], more: true });
        assert_eq!(find_gaps(&whole, 14 * SECOND), FoundGaps { ready: vec![gap(9, 14)], more: false });
    }

    #[test]
    fn a_moment_between_two_gaps_is_fetched_with_them() {
        let states = known(&[(Captured, 9), (Gap, 5), (Captured, 1), (Gap, 5), (Captured, 9)]);
        assert_eq!(find_gaps(&states, u64::MAX).ready, [gap(9, 20)]);
    }

    #[test]
    fn a_gap_that_may_have_begun_earlier_is_left() {
        let ready = FoundGaps { ready: vec![gap(9, 14)], more: false };
        assert_eq!(find_gaps(&known(&[(Unknown, 9), (Gap, 5), (Captured, 9)]), u64::MAX), ready);
        assert_eq!(find_gaps(&known(&[(Captured, 9), (Gap, 5), (Captured, 9)]), u64::MAX), ready);
        assert_eq!(find_gaps(&known(&[(Gap, 5), (Captured, 9)]), u64::MAX), FoundGaps::default());
        assert_eq!(find_gaps(&known(&[]), u64::MAX), FoundGaps::default());
    }
}
