//! Inputs and outputs of the ledger.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::channel::Family;
use shared::coverage::{self, Record, State};
use shared::event::Event;
use shared::item::Item;
use shared::key::Key;
use shared::time::Micros;
use xxhash_rust::xxh3::xxh3_64;

use crate::spool::record::ConnectionEvent;

/// What the ledger learns from a record of the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerInput {
    /// An event of a connection: the connection's number, the time by the daemon's clock, and what happened.
    ConnectionEvent(u32, u64, ConnectionEvent),
    /// An event of a channel: the channel, its time by the exchange's clock, the hashes of its own and its
    /// predecessor's `event_id` if it has them, and, if its time is the exchange's own to the microsecond, when it was
    /// received by the daemon's clock.
    Event(String, u64, Option<(u64, u64)>, Option<u64>),
}

impl LedgerInput {
    /// Creates the input of an event. `time`: by the exchange's clock, `None` without a plausible one; `received_at`:
    /// by the daemon's.
    #[must_use]
    pub fn event(event: &Event, time: Option<Micros>, received_at: Micros) -> LedgerInput {
        let id = |name: &str| event.extra.get(name).and_then(Value::as_str).map(|id| xxh3_64(id.as_bytes()));
        let ids = id("event_id").zip(id("pre_event_id")).filter(|_| event.channel.family() == Family::LiveOrders);
        let stamped =
            time.filter(|_| event.channel.family() != Family::Other && event.field("microtimestamp").is_some());
        LedgerInput::Event(
            event.channel.to_string(),
            time.unwrap_or(received_at).0,
            ids,
            stamped.map(|_| received_at.0),
        )
    }
}

impl LedgerEntry {
    /// Returns the primary key of its item.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            LedgerEntry::Interval(record) => record.key(),
            LedgerEntry::Channel(name, _) => coverage::channel_key(name),
        }
    }

    /// Returns the entry as an item of the table.
    #[must_use]
    pub fn to_item(&self) -> Item {
        match self {
            LedgerEntry::Interval(record) => record.to_item(),
            LedgerEntry::Channel(name, first) => coverage::channel_item(name, *first),
        }
    }

    /// Returns the reserved channel of its item.
    #[must_use]
    pub fn channel(&self) -> String {
        match self {
            LedgerEntry::Interval(record) => coverage::ledger_channel(&record.channel),
            LedgerEntry::Channel(..) => coverage::CHANNELS.to_owned(),
        }
    }

    /// Returns the channel that the entry declares a gap of.
    #[must_use]
    pub fn gap(&self) -> Option<&str> {
        match self {
            LedgerEntry::Interval(record) if record.interval.state == State::Gap => Some(&record.channel),
            _ => None,
        }
    }

    /// Returns the time of its item, microseconds since the Unix epoch.
    #[must_use]
    pub fn time(&self) -> u64 {
        match self {
            LedgerEntry::Interval(record) => record.interval.through,
            LedgerEntry::Channel(_, first) => *first,
        }
    }
}

/// An entry to be written to the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LedgerEntry {
    /// An interval of a channel: captured or a gap.
    #[serde(rename = "stretch")]
    Interval(Record),
    /// The first subscription of a channel, and when it was confirmed (microseconds since the Unix epoch by the
    /// daemon's clock).
    Channel(String, u64),
}
