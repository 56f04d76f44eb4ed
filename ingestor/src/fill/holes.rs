use shared::coverage::{State, Stretch};

/// What must be known on either side of a hole, in microseconds: the second that a refetched trade names, and one more.
const MARGIN: u64 = 2_000_000;

/// A gap with its neighbours: what is before and behind it is in the table. Microseconds since the Unix epoch, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hole {
    /// The first moment that something may be missing of.
    pub from: u64,
    /// The last.
    pub through: u64,
}

/// The gaps of a channel.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Holes {
    /// Those that may be fetched.
    pub ready: Vec<Hole>,
    /// There are others, of which it is not known yet what comes behind them.
    pub more: bool,
}

/// Finds the gaps in what is known of a channel, without holes and in order, up to `until`.
#[must_use]
pub fn holes(known: &[Stretch], until: u64) -> Holes {
    let mut holes = Holes::default();
    let mut open: Option<Hole> = None;
    // Whether something is known right before the gap.
    let mut begins = false;
    for stretch in known {
        let Stretch { from, through, state, .. } = stretch;
        match state {
            State::Gap => open = Some(Hole { from: open.map_or(*from, |hole| hole.from), through: *through }),
            State::Unknown => {
                holes.more |= open.take().is_some();
                begins = false;
            }
            State::Captured | State::Filled => match open {
                // Too short to stand alone: fetched again with the gaps around it.
                Some(hole) if through - from < MARGIN => open = Some(Hole { through: *through, ..hole }),
                _ => {
                    if let Some(hole) = open.take().filter(|_| begins) {
                        let ready = hole.through <= until;
                        holes.ready.extend(ready.then_some(hole));
                        holes.more |= !ready;
                    }
                    begins = through - from >= MARGIN;
                }
            },
        }
    }
    holes.more |= open.is_some();
    holes
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn known(states: &[(State, u64)]) -> Vec<Stretch> {
        let mut from = 0;
        states
            .iter()
            .map(|(state, seconds)| {
                let stretch = Stretch { from, through: from + seconds * SECOND - 1, state: *state, reason: None };
                from += seconds * SECOND;
                stretch
            })
            .collect()
    }

    fn hole(from: u64, end: u64) -> Hole {
        Hole { from: from * SECOND, through: end * SECOND - 1 }
    }

    use State::{Captured, Filled, Gap, Unknown};

    #[test]
    fn a_gap_between_known_neighbours_is_ready() {
        let states = known(&[(Captured, 10), (Gap, 5), (Captured, 10), (Gap, 1), (Filled, 9), (Gap, 3)]);
        let found = holes(&states, 100 * SECOND);
        assert_eq!(found, Holes { ready: vec![hole(10, 15), hole(25, 26)], more: true });
    }

    #[test]
    fn a_gap_waits_for_what_is_behind_it_and_for_its_time() {
        assert_eq!(holes(&known(&[(Captured, 9), (Gap, 5)]), u64::MAX), Holes { ready: vec![], more: true });
        assert_eq!(
            holes(&known(&[(Captured, 9), (Gap, 5), (Captured, 1)]), u64::MAX),
            Holes { ready: vec![], more: true }
        );
        let whole = known(&[(Captured, 9), (Gap, 5), (Captured, 9)]);
        assert_eq!(holes(&whole, 13 * SECOND), Holes { ready: vec![], more: true });
        assert_eq!(holes(&whole, 14 * SECOND), Holes { ready: vec![hole(9, 14)], more: false });
    }

    #[test]
    fn a_moment_between_two_gaps_is_fetched_with_them() {
        let states = known(&[(Captured, 9), (Gap, 5), (Captured, 1), (Gap, 5), (Captured, 9)]);
        assert_eq!(holes(&states, u64::MAX).ready, [hole(9, 20)]);
    }

    #[test]
    fn a_gap_behind_what_nobody_knows_is_left() {
        assert_eq!(holes(&known(&[(Unknown, 9), (Gap, 5), (Captured, 9)]), u64::MAX), Holes::default());
        assert_eq!(holes(&known(&[(Captured, 1), (Gap, 5), (Captured, 9)]), u64::MAX), Holes::default());
        assert_eq!(holes(&known(&[]), u64::MAX), Holes::default());
    }
}
