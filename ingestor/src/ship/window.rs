//! Tracks which records are settled, and how far the spool's position may move.

use std::collections::VecDeque;

/// Tracks which records are settled, from the spool's position on. The position moves only over an unbroken series of
/// settled records.
#[derive(Debug)]
pub struct Window {
    position: u64,
    settled: VecDeque<bool>,
}

impl Window {
    /// Creates a window before any record is read. `position`: the first sequence that is not settled.
    #[must_use]
    pub fn new(position: u64) -> Window {
        Window { position, settled: VecDeque::new() }
    }

    /// Returns the first sequence that is not settled.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns the first sequence that was not read yet.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.position + self.settled.len() as u64
    }

    /// Returns the number of records read that lie at or after the position.
    #[must_use]
    pub fn len(&self) -> usize {
        self.settled.len()
    }

    /// Returns true if everything that was read is settled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settled.is_empty()
    }

    /// Notes that a record was read.
    pub fn read(&mut self, sequence: u64) {
        debug_assert_eq!(sequence, self.next(), "records are read in order");
        self.settled.push_back(false);
    }

    /// Notes that a record is settled. Returns the position, moved over everything settled.
    pub fn settle(&mut self, sequence: u64) -> u64 {
        let place = sequence.checked_sub(self.position).and_then(|place| usize::try_from(place).ok());
        if let Some(settled) = place.and_then(|place| self.settled.get_mut(place)) {
            *settled = true;
        }
        while self.settled.front() == Some(&true) {
            self.settled.pop_front();
            self.position += 1;
        }
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_position_never_passes_an_unsettled_record(order in Just((10_u64..60).collect::<Vec<_>>()).prop_shuffle()) {
            let mut window = Window::new(10);
            for sequence in 10..60 {
                prop_assert_eq!(window.next(), sequence);
                window.read(sequence);
            }
            let mut open: std::collections::BTreeSet<u64> = order.iter().copied().collect();
            for sequence in order {
                open.remove(&sequence);
                let position = window.settle(sequence);
                prop_assert_eq!(position, open.first().copied().unwrap_or(60));
                prop_assert_eq!(window.settle(sequence), position, "settling twice changes nothing");
            }
            prop_assert!(window.is_empty());
        }
    }
}
