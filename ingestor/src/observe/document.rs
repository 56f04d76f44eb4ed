//! The document of `/status`. Times are microseconds since the Unix epoch, by this machine's clock unless a field says otherwise; names
//! that end in `_us` are durations in microseconds. What is not known is `None`, in JSON null, and never zero. Rates are for people,
//! with one decimal; write units and money are exact decimals, as strings.

use serde::{Deserialize, Serialize};

mod exchange;
mod table;

pub use crate::observe::document::exchange::{Clock, Connection, Connections, Loss};
pub use crate::observe::document::table::{Audit, Blocks, Cost, Gap, Gaps, Lease, Writes};

/// Number of the document's form. Fields may be added to a form; what changes or removes one makes another.
pub const FORMAT: u32 = 1;

/// How the daemon does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`FORMAT`].
    pub format: u32,
    /// When the document was made.
    pub now: u64,
    /// Version of the program.
    pub version: String,
    /// The daemon's name, which marks its ledger entries.
    pub daemon: String,
    /// Time since the daemon started.
    pub uptime_us: u64,
    /// True if `trouble` is empty.
    pub healthy: bool,
    /// True once the daemon has been told to stop.
    pub stopping: bool,
    /// Present troubles.
    pub trouble: Vec<Trouble>,
    /// Troubles that have passed, newest first, at most 20.
    pub last_troubles: Vec<PassedTrouble>,
    /// Connections to the exchange.
    pub connections: Connections,
    /// Data messages received, each copy counted.
    pub received: Flow,
    /// Events stored in the table.
    pub stored: Stored,
    /// The channels.
    pub channels: Vec<Channel>,
    /// The spool.
    pub spool: Spool,
    /// Writes to the table.
    pub writes: Writes,
    /// Blocks in the table.
    #[serde(default)]
    pub blocks: Blocks,
    /// Write units and what they cost.
    pub cost: Cost,
    /// This machine's clock.
    pub clock: Clock,
    /// Gaps of the ledger.
    pub gaps: Gaps,
    /// The quarantine.
    pub quarantine: Quarantine,
    /// The audit of trades.
    pub audit: Audit,
    /// Which daemon writes.
    pub lease: Lease,
}

/// A present trouble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What is in trouble, as in the log.
    pub component: String,
    /// Why, in one sentence.
    pub reason: String,
    /// How long it has lasted, if that is known.
    pub lasts_us: Option<u64>,
}

/// A trouble that has passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedTrouble {
    /// What was in trouble, as in the log.
    pub component: String,
    /// Why, in one sentence.
    pub reason: String,
    /// How long it lasted.
    pub lasted_us: u64,
    /// How long ago it passed.
    pub ended_us: u64,
}

/// Data messages received.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Since the start.
    pub total: u64,
    /// A second, over the last seconds.
    pub per_second: Option<f64>,
    /// Bytes since the start.
    pub bytes: u64,
    /// Messages among them that another connection had delivered before.
    pub duplicates: u64,
}

/// Events stored in the table, by themselves or in blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Since the start.
    pub total: u64,
    /// A second, over the last seconds.
    pub per_second: Option<f64>,
    /// Size of the items that hold them in bytes, as DynamoDB counts it; `cost` has their write units.
    #[serde(default)]
    pub bytes: u64,
    /// Age of the newest one by the exchange's time; null before the first.
    pub newest_age_us: Option<u64>,
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Its name.
    pub channel: String,
    /// Events a second, over the last seconds.
    pub events_per_second: Option<f64>,
    /// Events taken from the spool since the start.
    pub events: u64,
    /// Events stored since the start.
    pub stored: u64,
    /// Size of the items that hold them in bytes, as DynamoDB counts it.
    #[serde(default)]
    pub stored_bytes: u64,
    /// Write units that these items took, in the table and the index together.
    #[serde(default)]
    pub stored_units: u64,
    /// Age of the newest stored event by the exchange's time; null before the first.
    pub newest_age_us: Option<u64>,
}

/// The spool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spool {
    /// Its size in bytes.
    pub bytes: u64,
    /// Its limit in bytes.
    pub max_bytes: u64,
    /// Records that wait for the table.
    pub records: u64,
    /// How long the oldest of them has waited, or a little more: a tenth of a second, of a long backlog a hundredth of it. Null if none
    /// waits.
    pub oldest_age_us: Option<u64>,
    /// True while it is full and events are missed.
    pub intake_stopped: bool,
    /// Longest time from receipt to durable of the last fsync; null before the first.
    pub sync_us: Option<u64>,
}

/// The quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Records in it.
    pub records: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Records put into it since the start.
    pub added: u64,
    /// Events among them that differ from an earlier one with the same key.
    pub key_conflicts: u64,
}
