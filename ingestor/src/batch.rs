use std::collections::HashMap;

use shared::channel::Channel;
use shared::item::{self, Item};
use shared::key::Key;
use shared::time::Micros;

use crate::ledger;

/// DynamoDB takes at most 25 items in one BatchWriteItem ...
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>)
const MAX_ITEMS: usize = 25;
/// ... and 16 MB; a margin is left for how the request is spelled.
const MAX_BYTES: usize = 12 << 20;

/// An item on its way, and the records it settles.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The sequences of the records that became this item: more than one where a message came twice.
    pub sequences: Vec<u64>,
    /// Its primary key; no two entries of a batch share it, because DynamoDB refuses such a batch whole.
    pub key: Key,
    /// Its channel, for the status.
    pub channel: Channel,
    /// The exchange's time, for the status.
    pub time: Micros,
    /// The item.
    pub item: Item,
    /// What of the ledger it is; none: an event.
    pub ledger: Option<ledger::Entry>,
}

impl From<ledger::Entry> for Entry {
    fn from(entry: ledger::Entry) -> Entry {
        let (key, time) = (entry.key(), Micros(entry.time()));
        let channel = Channel::from_frame(entry.channel());
        Entry { sequences: Vec::new(), key, channel, time, item: entry.to_item(), ledger: Some(entry) }
    }
}

/// Items on their way into one request.
#[derive(Debug, Default)]
pub struct Batch {
    entries: Vec<Entry>,
    places: HashMap<Key, usize>,
    bytes: usize,
}

impl Batch {
    /// Adds an entry; gives it back if the batch is full for it. An item that is in the batch already is not added again,
    /// its sequences are.
    pub fn add(&mut self, entry: Entry) -> Result<(), Box<Entry>> {
        if let Some(present) = self.places.get(&entry.key).and_then(|place| self.entries.get_mut(*place)) {
            present.sequences.extend(entry.sequences);
            return Ok(());
        }
        let bytes = item::size(&entry.item);
        if self.is_full() || (!self.entries.is_empty() && self.bytes + bytes > MAX_BYTES) {
            return Err(Box::new(entry));
        }
        self.bytes += bytes;
        self.places.insert(entry.key.clone(), self.entries.len());
        self.entries.push(entry);
        Ok(())
    }

    /// Whether no further item fits.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= MAX_ITEMS
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Its entries; empties it.
    pub fn take(&mut self) -> Vec<Entry> {
        self.bytes = 0;
        self.places.clear();
        std::mem::take(&mut self.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::types::AttributeValue;
    use proptest::prelude::*;

    fn entry(sequence: u64, id: u64, bytes: usize) -> Entry {
        Entry {
            sequences: vec![sequence],
            key: Key { id: id.to_string(), microtimestamp: String::new() },
            channel: Channel::from_frame("x".to_owned()),
            time: Micros(0),
            ledger: None,
            item: Item::from([("x".to_owned(), AttributeValue::S("x".repeat(bytes)))]),
        }
    }

    proptest! {
        #[test]
        fn batches_keep_every_sequence_and_every_limit(ids in prop::collection::vec((0_u64..40, 0_usize..3), 1..200)) {
            let mut batch = Batch::default();
            let mut batches = Vec::new();
            for (sequence, (id, size)) in ids.iter().enumerate() {
                let entry = entry(sequence as u64, *id, [10, 100_000, 3_000_000][*size]);
                if let Err(entry) = batch.add(entry) {
                    batches.push(batch.take());
                    prop_assert!(batch.is_empty());
                    prop_assert!(batch.add(*entry).is_ok());
                }
            }
            batches.push(batch.take());
            let mut sequences: Vec<u64> = Vec::new();
            for entries in &batches {
                prop_assert!((1..=25).contains(&entries.len()));
                let bytes: usize = entries.iter().map(|entry| item::size(&entry.item)).sum();
                prop_assert!(entries.len() == 1 || bytes <= 16_000_000);
                let mut keys: Vec<_> = entries.iter().map(|entry| &entry.key).collect();
                keys.sort();
                keys.dedup();
                prop_assert_eq!(keys.len(), entries.len());
                sequences.extend(entries.iter().flat_map(|entry| &entry.sequences));
            }
            sequences.sort_unstable();
            prop_assert_eq!(sequences, (0..ids.len() as u64).collect::<Vec<_>>());
        }
    }
}
