//! Since when the oldest record of the backlog waits, known without a look at the disk.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::observe::gauges::lock;

/// Least distance between two marks, in microseconds; the answer may be older than the truth by as much.
const APART: u64 = 100_000;
/// Largest number of marks. Beyond it their distance doubles, so a long backlog is told less exactly.
const MARKS: usize = 1_024;

/// When records of the spool were received, some of them.
#[derive(Debug, Default)]
pub struct Backlog(Mutex<Marks>);

/// Sequence and received time of the first record of an append, in their order.
#[derive(Debug, Default)]
struct Marks {
    list: VecDeque<(u64, u64)>,
    /// By how often the distance between two marks has doubled.
    doublings: u32,
}

impl Marks {
    fn apart(&self) -> u64 {
        APART << self.doublings.min(32)
    }

    /// Doubles the distance and leaves out the marks that are too near then.
    fn thin(&mut self) {
        self.doublings += 1;
        let (apart, mut last) = (self.apart(), None);
        self.list.retain(|(_, received)| {
            let stays = last.is_none_or(|last: u64| *received >= last + apart);
            if stays {
                last = Some(*received);
            }
            stays
        });
    }
}

impl Backlog {
    /// Notes that the record `sequence` was received at `received`, in microseconds since the Unix epoch by the daemon's clock. Both
    /// rise from call to call.
    pub fn note(&self, sequence: u64, received: u64) {
        let mut marks = lock(&self.0);
        let apart = marks.apart();
        if marks.list.back().is_some_and(|(_, last)| received < last + apart) {
            return;
        }
        if marks.list.len() >= MARKS {
            marks.thin();
        }
        marks.list.push_back((sequence, received));
    }

    /// Returns when the record at the spool's `position` was received at the earliest, in microseconds since the Unix epoch by the
    /// daemon's clock; `None` if that is not known. Forgets what lies before it.
    pub fn since(&self, position: u64) -> Option<u64> {
        let mut marks = lock(&self.0);
        while marks.list.get(1).is_some_and(|(sequence, _)| *sequence <= position) {
            marks.list.pop_front();
        }
        if marks.list.len() < 2 {
            marks.doublings = 0;
        }
        marks.list.front().filter(|(sequence, _)| *sequence <= position).map(|(_, received)| *received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_that_of_the_mark_before_the_position() {
        let backlog = Backlog::default();
        assert_eq!(backlog.since(0), None);
        for second in 10..20 {
            backlog.note(second * 100, second * 1_000_000);
            backlog.note(second * 100 + 50, second * 1_000_000 + 1);
        }
        assert_eq!(backlog.since(999), None, "it was appended before the first mark");
        assert_eq!(backlog.since(1_000), Some(10_000_000));
        assert_eq!(backlog.since(1_250), Some(12_000_000));
        assert_eq!(backlog.since(9_999), Some(19_000_000));
    }

    #[test]
    fn a_long_backlog_is_told_less_exactly_in_bounded_memory() {
        let backlog = Backlog::default();
        for second in 0..100_000 {
            backlog.note(second, second * 1_000_000);
        }
        assert!(lock(&backlog.0).list.len() <= MARKS);
        assert_eq!(backlog.since(0), Some(0));
        let at = backlog.since(50_000).unwrap() / 1_000_000;
        assert!((49_700..=50_000).contains(&at), "{at}");
        assert!(backlog.since(u64::MAX).is_some());
        assert_eq!(lock(&backlog.0).apart(), APART, "a short backlog is told exactly again");
    }
}
