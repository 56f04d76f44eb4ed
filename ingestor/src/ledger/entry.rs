use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::channel::Family;
use shared::coverage::{self, Record, State};
use shared::event::Event;
use shared::item::Item;
use shared::key::Key;
use shared::time::Micros;
use xxhash_rust::xxh3::xxh3_64;

use crate::spool::record::Story;

/// What a record of the spool means for the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// What happened to a connection; when, by the daemon's clock.
    Story(u32, u64, Story),
    /// An event: its channel, its time by the exchange's clock, and where it has them the hashes of its own and its
    /// predecessor's `event_id`.
    Event(String, u64, Option<(u64, u64)>),
}

impl Mark {
    /// What an event means. `time`: the exchange's.
    #[must_use]
    pub fn event(event: &Event, time: Micros) -> Mark {
        let id = |name: &str| event.extra.get(name).and_then(Value::as_str).map(|id| xxh3_64(id.as_bytes()));
        let ids = id("event_id").zip(id("pre_event_id")).filter(|_| event.channel.family() == Family::LiveOrders);
        Mark::Event(event.channel.to_string(), time.0, ids)
    }
}

impl Entry {
    /// The key of its item.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Entry::Stretch(record) => record.key(),
            Entry::Channel(name, _) => coverage::channel_key(name),
        }
    }

    /// The item.
    #[must_use]
    pub fn to_item(&self) -> Item {
        match self {
            Entry::Stretch(record) => record.to_item(),
            Entry::Channel(name, first) => coverage::channel_item(name, *first),
        }
    }

    /// The channel of its item.
    #[must_use]
    pub fn channel(&self) -> String {
        match self {
            Entry::Stretch(record) => coverage::ledger_channel(&record.channel),
            Entry::Channel(..) => coverage::CHANNELS.to_owned(),
        }
    }

    /// The channel that it calls a gap of.
    #[must_use]
    pub fn gap(&self) -> Option<&str> {
        match self {
            Entry::Stretch(record) if record.stretch.state == State::Gap => Some(&record.channel),
            _ => None,
        }
    }

    /// The time of its item, microseconds since the Unix epoch.
    #[must_use]
    pub fn time(&self) -> u64 {
        match self {
            Entry::Stretch(record) => record.stretch.through,
            Entry::Channel(_, first) => *first,
        }
    }
}

/// What is to be written to the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// A stretch of a channel's time.
    Stretch(Record),
    /// A channel was subscribed for the first time, when (microseconds since the Unix epoch by the daemon's clock).
    Channel(String, u64),
}
