//! Detects different events under one primary key.

use xxhash_rust::xxh3::xxh3_128;

use crate::recent::Recent;
use crate::store::batch::BatchEntry;

/// Number of keys remembered: ten seconds of the busiest rates seen, about 1 MB. Ids that repeat do so within a
/// millisecond.
const WINDOW: usize = 16_384;

/// Quarantine reason of the second of two events with one key.
pub const REASON: &str = "a different event is stored under the same key";

/// Finds different events with one primary key, which in the table would silently overwrite each other.
///
/// Compares the content of each event with that of the last 16,384 keys of this run. What is further apart, on either side of a
/// restart or in the hands of two daemons, it cannot see. Costs no request.
#[derive(Debug)]
pub struct Conflicts(Recent<u64>);

impl Default for Conflicts {
    fn default() -> Conflicts {
        Conflicts(Recent::new(WINDOW))
    }
}

impl Conflicts {
    /// Returns true if an earlier event with another content has the entry's key.
    pub fn is_conflict(&mut self, entry: &BatchEntry) -> bool {
        let Some(content) = entry.content else { return false };
        let key = xxh3_128(format!("{} {}", entry.key.id, entry.key.microtimestamp).as_bytes());
        self.0.get_or_insert(key, content).is_some_and(|first| first != content)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use proptest::prelude::*;
    use shared::channel::Channel;
    use shared::item::Item;
    use shared::key::Key;
    use shared::time::Micros;

    fn entry(id: u64, content: u64) -> BatchEntry {
        BatchEntry {
            sequences: Vec::new(),
            key: Key { id: id.to_string(), microtimestamp: "1".to_owned() },
            channel: Channel::from_frame("x".to_owned()),
            time: Micros(0),
            item: Item::default(),
            content: Some(content),
            ledger: None,
            block: None,
        }
    }

    proptest! {
        /// The first content of a key is the one that counts, however often either comes.
        #[test]
        fn the_first_of_a_key_stays(events in prop::collection::vec((0_u64..9, 0_u64..3), 0..100)) {
            let (mut conflicts, mut first) = (Conflicts::default(), HashMap::new());
            for (id, content) in events {
                let known = *first.entry(id).or_insert(content);
                prop_assert_eq!(conflicts.is_conflict(&entry(id, content)), known != content);
            }
        }
    }
}
