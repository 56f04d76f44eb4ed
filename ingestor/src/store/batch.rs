//! Collects items for one request.

use std::collections::HashMap;

use shared::channel::Channel;
use shared::coverage::days::DAY;
use shared::item::{self, EXPIRES, Item};
use shared::keep::Keeps;
use shared::key::Key;
use shared::table::NMICROTIMESTAMP;
use shared::time::Micros;

use crate::ledger;

/// Largest number of items in one BatchWriteItem
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>).
pub(crate) const MAX_ITEMS: usize = 25;
/// Largest size of a batch, in bytes. DynamoDB takes 16 MB; the margin is for how the request is encoded.
const MAX_BYTES: usize = 12 << 20;

/// An item to be written, and the records that it settles.
#[derive(Clone, Debug)]
pub struct BatchEntry {
    /// Sequences of the records that became this item; more than one if a message arrived twice.
    pub sequences: Vec<u64>,
    /// Primary key; no two entries of a batch share it, because DynamoDB refuses such a batch whole.
    pub key: Key,
    /// Channel, for the status.
    pub channel: Channel,
    /// Time by the exchange's clock, for the status.
    pub time: Micros,
    /// The item.
    pub item: Item,
    /// [`shared::key::Keyed::content`] of an event from the stream.
    pub content: Option<u64>,
    /// The ledger entry that the item holds; `None` for an event.
    pub ledger: Option<ledger::LedgerEntry>,
    /// What the item holds if it is a block of events; `None` for any other item.
    pub block: Option<BlockNote>,
}

/// What is known of a block that is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockNote {
    /// Sequence of its first record.
    pub first: u64,
    /// Number of its events.
    pub events: u32,
}

impl From<ledger::LedgerEntry> for BatchEntry {
    fn from(entry: ledger::LedgerEntry) -> BatchEntry {
        let (key, time) = (entry.key(), Micros(entry.time()));
        let channel = Channel::from_frame(entry.channel());
        BatchEntry { ledger: Some(entry.clone()), ..BatchEntry::of_item(key, channel, time, entry.to_item()) }
    }
}

impl BatchEntry {
    /// Creates an entry that settles no record and is not of the ledger.
    #[must_use]
    pub fn of_item(key: Key, channel: Channel, time: Micros, item: Item) -> BatchEntry {
        BatchEntry { sequences: Vec::new(), key, channel, time, item, content: None, ledger: None, block: None }
    }

    /// Sets when the item expires, by the time of what it holds; an item that says so itself stays as it is.
    pub fn expire(&mut self, keeps: &Keeps) {
        let Some((channel, from, through)) = self.holds() else { return };
        if !self.item.contains_key(EXPIRES)
            && let Some(expires) = keeps.stamp(channel, (from, through), &self.item)
        {
            self.item.insert(EXPIRES.to_owned(), expires);
        }
    }

    /// Returns the channel and the first and last moment of what the item holds, microseconds since the Unix epoch by the exchange's clock; `None`
    /// for what says nothing of one channel's time.
    fn holds(&self) -> Option<(&str, u64, u64)> {
        let (name, time) = (self.channel.as_str(), self.time.0);
        let begins = |attribute: &str| self.item.get(attribute)?.as_n().ok()?.parse().ok();
        match name.split_once(':') {
            Some(("_coverage" | "_coverage-days", channel)) => Some((channel, begins("from")?, time)),
            // Events are replayed from an order book until there is the next one.
            Some(("_snapshot", channel)) => Some((channel, time, time.saturating_add(DAY))),
            _ if name.starts_with('_') => None,
            _ if self.block.is_some() => Some((name, begins(NMICROTIMESTAMP)?, time)),
            _ => Some((name, time, time)),
        }
    }
}

/// Collects items for one request.
#[derive(Debug, Default)]
pub struct Batch {
    entries: Vec<BatchEntry>,
    places: HashMap<Key, usize>,
    bytes: usize,
}

impl Batch {
    /// Adds an entry; returns it if the batch is full for it. Of an item that is in the batch already only the
    /// sequences are added: a different event under the same key does not come this far (`ship::conflict`).
    pub fn add(&mut self, entry: BatchEntry) -> Result<(), Box<BatchEntry>> {
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

    /// Returns true if no further item fits.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= MAX_ITEMS
    }

    /// Returns true if there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes all entries; leaves the batch empty.
    pub fn take(&mut self) -> Vec<BatchEntry> {
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

    fn entry(sequence: u64, id: u64, bytes: usize) -> BatchEntry {
        BatchEntry {
            sequences: vec![sequence],
            key: Key { id: id.to_string(), microtimestamp: String::new() },
            channel: Channel::from_frame("x".to_owned()),
            time: Micros(0),
            ledger: None,
            block: None,
            content: None,
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
