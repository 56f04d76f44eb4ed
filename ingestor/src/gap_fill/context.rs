//! What every task of the gap filler works with: the history, the table, and how fetched events are written.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::StreamExt as _;
use shared::channel::Channel;
use shared::coverage::{self, Interval, Record, State};
use shared::event::Event;
use shared::item::{self, Item};
use shared::key::{Key, Keyed};
use shared::table::{ID, MICROTIMESTAMP};
use shared::time::Micros;

use crate::clock::system_micros;
use crate::exchange::rest::Rest;
use crate::gap_fill::error::FillError;
use crate::gap_fill::gaps::Gap;
use crate::ledger::pieces;
use crate::observe::status::{Component, Status};
use crate::store::batch::BatchEntry;
use crate::store::blocks::key_of;
use crate::store::reader::StoreReader;
use crate::store::twins;
use crate::store::writer::{Insertion, Writer};

/// Number of items written at once.
const AT_ONCE: usize = 8;

/// Handles and settings that the tasks share.
pub(super) struct FillContext {
    pub(super) rest: Rest,
    pub(super) reader: StoreReader,
    pub(super) writer: Writer,
    pub(super) status: Arc<Status>,
    /// The daemon's name in the ledger.
    pub(super) daemon: String,
    /// Delay between a gap's end and its filling.
    pub(super) after: Duration,
    /// When the daemon started, microseconds since the Unix epoch by this machine's clock.
    pub(super) started: u64,
}

impl FillContext {
    /// Returns microseconds since the Unix epoch by this machine's clock, which may differ from the exchange's by seconds.
    pub(super) fn now(&self) -> u64 {
        system_micros()
    }

    /// Enters a gap into the ledger as filled.
    pub(super) async fn enter(&self, channel: &Channel, gap: Gap, stored: u64) {
        let mut frames = stored;
        let records = pieces(gap.from, gap.through, State::Filled).map(|(from, through)| Record {
            daemon: self.daemon.clone(),
            channel: channel.to_string(),
            interval: Interval { from, through, state: State::Filled, reason: None },
            frames: std::mem::take(&mut frames),
        });
        for record in records.collect::<Vec<_>>() {
            let Some(entry) = entry_of_ledger(channel, record.to_item()) else { continue };
            for (entry, reason) in self.writer.write(vec![entry]).await.refused {
                tracing::error!(item = ?entry.key, reason, "the table refuses an entry of the ledger");
            }
        }
    }

    /// Creates the entry of a fetched event.
    pub(super) fn entry(&self, event: Event, keyed: Keyed) -> Result<BatchEntry, FillError> {
        let now = Micros(self.now());
        let (key, channel, time) = (keyed.key.clone(), event.channel.clone(), keyed.time.unwrap_or(now));
        let mut item = item::from_keyed(event, keyed, now).map_err(|error| FillError::Refused(error.to_string()))?;
        item.insert(item::SOURCE.to_owned(), AttributeValue::S(twins::REST.to_owned()));
        Ok(BatchEntry::of_item(key, channel, time, item))
    }

    /// Returns the entries of a channel without those whose events lie in blocks, which no condition on their keys would see.
    pub(super) async fn not_in_blocks(
        &self,
        channel: &Channel,
        mut entries: Vec<BatchEntry>,
    ) -> Result<Vec<BatchEntry>, FillError> {
        let times = || entries.iter().map(|entry| entry.time.0);
        let (Some(from), Some(through)) = (times().min(), times().max()) else { return Ok(entries) };
        let stored = self.reader.events_in_blocks(channel.as_str(), from, through).await.map_err(FillError::Later)?;
        let stored: HashSet<Key> = stored.iter().filter_map(key_of).collect();
        entries.retain(|entry| !stored.contains(&entry.key));
        Ok(entries)
    }

    /// Inserts items whose keys do not exist; returns how many were inserted.
    pub(super) async fn put(&self, entries: Vec<BatchEntry>) -> Result<u64, FillError> {
        let mut writes = futures_util::stream::iter(entries)
            .map(|entry| self.writer.insert_if_absent(entry, Component::Filling))
            .buffer_unordered(AT_ONCE);
        let mut written = 0;
        while let Some(first) = writes.next().await {
            match first {
                Insertion::Inserted(_) => written += 1,
                Insertion::Existed(_) => {}
                Insertion::Refused(entry, reason) => {
                    return Err(FillError::Refused(format!("the table refuses {:?}: {reason}", entry.key)));
                }
            }
        }
        self.status.filled_events.add(written);
        Ok(written)
    }
}

/// Creates the entry of an item of a channel's ledger; `None` for any other item.
pub(super) fn entry_of_ledger(channel: &Channel, item: Item) -> Option<BatchEntry> {
    let time = Micros(coverage::interval(&item)?.through);
    let (Some(AttributeValue::N(id)), Some(AttributeValue::S(sort))) = (item.get(ID), item.get(MICROTIMESTAMP)) else {
        return None;
    };
    let key = Key { id: id.clone(), microtimestamp: sort.clone() };
    let channel = Channel::from_frame(coverage::ledger_channel(channel.as_str()));
    Some(BatchEntry::of_item(key, channel, time, item))
}
