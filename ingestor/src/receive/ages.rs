//! Plans when connections reach their age limit, so that no two are replaced together.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// Plans when each of a daemon's connections reaches its age limit, so that no two are replaced at the same time, however
/// they came to be opened together.
#[derive(Debug)]
pub struct Ages {
    /// Age limit of a connection.
    limit: Duration,
    /// When the present connection of each socket reaches its limit; `None` before its first.
    planned: Mutex<Vec<Option<Instant>>>,
}

impl Ages {
    /// Creates a plan without connections.
    #[must_use]
    pub fn new(limit: Duration, sockets: usize) -> Ages {
        Ages { limit, planned: Mutex::new(vec![None; sockets]) }
    }

    /// Plans the end of a connection that the socket at `place` has opened. It comes as late as the limit allows, and as long
    /// before or after every other socket's planned end as half of the limit divided by the number of sockets. Each of the
    /// others excludes twice that, so something of the limit is always left.
    pub fn plan(&self, place: usize, opened: Instant) -> Instant {
        let mut planned = self.planned.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let apart = self.limit / 2 / u32::try_from(planned.len().max(1)).unwrap_or(u32::MAX);
        let others = planned.iter().enumerate().filter(|(other, _)| *other != place);
        let mut others: Vec<Instant> = others.filter_map(|(_, end)| *end).collect();
        others.sort_unstable();
        let mut end = opened + self.limit;
        for other in others.into_iter().rev() {
            if end < other + apart && other < end + apart {
                end = other.checked_sub(apart).unwrap_or(opened);
            }
        }
        if let Some(own) = planned.get_mut(place) {
            *own = Some(end);
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(86_400);

    #[test]
    fn connections_that_are_opened_together_do_not_age_together() {
        for sockets in 1..=8_u32 {
            let ages = Ages::new(LIMIT, sockets as usize);
            let start = Instant::now();
            // Three times: at the start, and after cuts that ended all of them within a second.
            for round in 0..3_u32 {
                let opened = |place: u32| start + LIMIT / 3 * round + Duration::from_millis(500) * place;
                let mut ends: Vec<Instant> =
                    (0..sockets).map(|place| ages.plan(place as usize, opened(place))).collect();
                for (place, end) in (0..sockets).zip(&ends) {
                    assert!(*end <= opened(place) + LIMIT, "{sockets} sockets: {place} becomes too old");
                    assert!(*end >= opened(place) + LIMIT / sockets / 2, "{sockets} sockets: {place} ends too early");
                }
                ends.sort_unstable();
                for pair in ends.windows(2) {
                    assert!(pair[1] - pair[0] >= LIMIT / 2 / sockets, "{sockets} sockets, round {round}: {ends:?}");
                }
            }
        }
    }

    #[test]
    fn connections_that_are_apart_stay_apart() {
        let ages = Ages::new(LIMIT, 2);
        let start = Instant::now();
        let mut ends = [ages.plan(0, start), ages.plan(1, start)];
        assert_eq!(ends, [start + LIMIT, start + LIMIT / 4 * 3]);
        for _ in 0..10 {
            ends = [ages.plan(0, ends[0]), ages.plan(1, ends[1])];
        }
        assert_eq!(ends[0] - ends[1], LIMIT / 4, "each lasts as long as it may");
    }

    /// Two connections of a daemon that has no third: a cut in the middle concerns one.
    #[test]
    fn a_connection_alone_lasts_as_long_as_it_may() {
        let ages = Ages::new(LIMIT, 1);
        let start = Instant::now();
        assert_eq!(ages.plan(0, start), start + LIMIT);
        assert_eq!(ages.plan(0, start + Duration::from_secs(1)), start + LIMIT + Duration::from_secs(1));
    }
}
