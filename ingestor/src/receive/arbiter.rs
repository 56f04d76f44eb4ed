//! Lets the first of equal messages from several connections through.

use xxhash_rust::xxh3::xxh3_128;

use crate::recent::Recent;

/// Number of messages back to which an equal one is recognised. Connections differ by well under a second; at the
/// busiest rates seen this is more than a minute. About 3 MB.
const WINDOW: usize = 65_536;

/// Lets the first of equal messages through, on whichever connection it arrives (A/B line arbitration, as feed handlers
/// call it). A message let through twice becomes the same item twice, so too short a window costs a write, never an
/// event.
#[derive(Debug)]
pub struct Arbiter(Recent<()>);

impl Default for Arbiter {
    fn default() -> Arbiter {
        Arbiter(Recent::new(WINDOW))
    }
}

impl Arbiter {
    /// Returns true unless an equal message was let through within the window.
    pub fn is_first(&mut self, message: &[u8]) -> bool {
        self.0.get_or_insert(xxh3_128(message), ()).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
