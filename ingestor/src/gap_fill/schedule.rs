//! Decides what the gap filler does next, and when; pure, the time is passed in.

use std::collections::BTreeMap;
use std::time::Duration;

use shared::channel::Channel;
use tokio::time::Instant;

/// Longest first wait after an attempt that left something to do.
const FIRST: Duration = Duration::from_secs(30);
/// Longest wait of the backoff.
const LONGEST: Duration = Duration::from_secs(1_800);
/// Longest wait between two attempts at a gap that the exchange refuses to fill.
const RARELY: Duration = Duration::from_secs(7_200);

/// What an attempt left to do for a channel, the most urgent last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remaining {
    /// Every gap is filled.
    #[default]
    Nothing,
    /// The exchange refuses to fill the gaps that remain.
    Refused,
    /// The table does not show yet what comes after a gap.
    NotYet,
    /// The exchange or the store did not answer.
    Trouble,
}

/// A task that recurs for a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Fills the channel's gaps from the exchange's history.
    Gaps,
    /// Stores the order book, at this interval.
    Book(Duration),
    /// Compares the exchange's trades with the table, at this interval.
    Audit(Duration),
    /// Compacts the ledger of closed days.
    Days,
}

/// A task for a channel.
pub type Job = (Task, Channel);

/// Next attempts by job: exponential backoff without an end, restarted when the reason of the waiting changes.
#[derive(Debug)]
pub struct Schedule {
    first: Duration,
    longest: Duration,
    rarely: Duration,
    due: BTreeMap<Job, Attempt>,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    at: Instant,
    wait: Duration,
    left: Remaining,
}

impl Schedule {
    /// Creates an empty schedule. Its waits are in proportion to `after`, the delay between a gap's end and its
    /// filling: with two minutes 30 s at first, 30 min at most, 2 h after refusals, and never more than these.
    #[must_use]
    pub fn new(after: Duration) -> Schedule {
        Schedule {
            first: (after / 4).min(FIRST),
            longest: (after * 15).min(LONGEST),
            rarely: (after * 60).min(RARELY),
            due: BTreeMap::new(),
        }
    }

    /// Schedules an attempt at `at`, or earlier if one is due earlier; restarts the backoff.
    pub fn add(&mut self, job: Job, at: Instant) {
        let earlier = self.due.get(&job).map_or(at, |due| due.at.min(at));
        self.due.insert(job, Attempt { at: earlier, wait: self.first, left: Remaining::Nothing });
    }

    /// Returns the job that is due first, and when.
    #[must_use]
    pub fn next(&self) -> Option<(Job, Instant)> {
        self.due.iter().min_by_key(|(_, due)| due.at).map(|(job, due)| (job.clone(), due.at))
    }

    /// Schedules the attempt after one that ended at `now` and left something to do.
    pub fn again(&mut self, job: Job, left: Remaining, now: Instant) {
        let before = self.due.remove(&job);
        let wait = match (left, before) {
            (Remaining::Nothing, _) => return,
            (Remaining::Refused, _) => self.rarely,
            (_, Some(due)) if due.left == left => (due.wait * 2).min(self.longest),
            _ => self.first,
        };
        self.due.insert(job, Attempt { at: now + wait, wait, left });
    }

    /// Returns the wait between two attempts at a gap that the exchange refuses to fill.
    #[must_use]
    pub fn rarely(&self) -> Duration {
        self.rarely
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(120);

    fn job() -> Job {
        (Task::Gaps, Channel::from_frame("live_orders_btcusd".to_owned()))
    }

    fn waits(reasons: &[Remaining]) -> Vec<u64> {
        let (mut schedule, mut now, mut waits) = (Schedule::new(AFTER), Instant::now(), Vec::new());
        schedule.add(job(), now);
        for left in reasons {
            schedule.again(job(), *left, now);
            let Some((_, at)) = schedule.next() else { break };
            waits.push((at - now).as_secs());
            now = at;
        }
        waits
    }

    #[test]
    fn trouble_is_followed_by_attempts_for_a_whole_day() {
        let waits = waits(&[Remaining::Trouble; 60]);
        assert_eq!(waits[..8], [30, 60, 120, 240, 480, 960, 1_800, 1_800]);
        assert!(waits.len() == 60 && waits.iter().sum::<u64>() > 86_400);
    }

    #[test]
    fn another_reason_starts_the_backoff_anew_and_a_refusal_is_asked_again_rarely() {
        use Remaining::{NotYet, Nothing, Refused, Trouble};
        assert_eq!(
            waits(&[NotYet, NotYet, NotYet, Trouble, Trouble, Refused, Refused, Trouble, Nothing]),
            [30, 60, 120, 30, 60, 7_200, 7_200, 30]
        );
    }

    #[test]
    fn a_new_gap_hastens_an_attempt_and_delays_none() {
        let (mut schedule, now) = (Schedule::new(AFTER), Instant::now());
        schedule.again(job(), Remaining::Refused, now);
        schedule.add(job(), now + AFTER);
        assert_eq!(schedule.next(), Some((job(), now + AFTER)));
        schedule.add(job(), now + AFTER * 2);
        assert_eq!(schedule.next(), Some((job(), now + AFTER)));
    }
}
