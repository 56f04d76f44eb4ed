use std::collections::{HashSet, VecDeque};

use xxhash_rust::xxh3::xxh3_128;

/// How many messages back an equal one is recognised. Connections differ by well under a second; at the busiest rates seen
/// this is more than a minute. About 3 MB.
const WINDOW: usize = 65_536;

/// Lets the first of equal messages through (A/B line arbitration, as feed handlers call it), whichever connection it came
/// on. What it lets through twice becomes the same item twice, so a window too short costs a write, never an event.
///
/// Messages are recognised by a 128-bit hash: with a million messages a second the chance that one is ever taken for another
/// in a century is below 10^-17.
#[derive(Debug, Default)]
pub struct Arbiter {
    seen: HashSet<u128>,
    order: VecDeque<u128>,
}

impl Arbiter {
    /// Whether no equal message was let through within the window.
    pub fn is_first(&mut self, message: &[u8]) -> bool {
        let hash = xxh3_128(message);
        if !self.seen.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > WINDOW
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn memory_is_bounded_and_the_window_slides() {
        let mut arbiter = Arbiter::default();
        for number in 0..=WINDOW {
            assert!(arbiter.is_first(&number.to_le_bytes()));
        }
        assert_eq!((arbiter.seen.len(), arbiter.order.len()), (WINDOW, WINDOW));
        assert!(!arbiter.is_first(&WINDOW.to_le_bytes()));
        assert!(arbiter.is_first(&0_usize.to_le_bytes()), "the oldest has left the window");
    }

    proptest! {
        /// Two lines carry the same messages, one behind the other by any number: each message comes out once, in order.
        #[test]
        fn two_lines_are_one(messages in prop::collection::hash_set(any::<u32>(), 1..100), lag in 0_usize..50) {
            let messages: Vec<u32> = messages.into_iter().collect();
            let mut arbiter = Arbiter::default();
            let mut out = Vec::new();
            for step in 0..messages.len() + lag {
                let late = step.checked_sub(lag).and_then(|place| messages.get(place));
                for message in messages.get(step).into_iter().chain(late) {
                    if arbiter.is_first(&message.to_le_bytes()) {
                        out.push(*message);
                    }
                }
            }
            prop_assert_eq!(out, messages);
        }
    }
}
