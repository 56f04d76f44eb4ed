//! What the document says of the table: writes, their cost, and what the ledger lacks.

use serde::{Deserialize, Serialize};

/// Writes to the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writes {
    /// Batches of items since the start.
    pub batches: u64,
    /// Requests with a batch or a part of one since the start, repeated ones counted each time.
    pub requests: u64,
    /// Requests of which nothing or only a part was accepted because the table was throttled.
    pub throttled_table: u64,
    /// The same because the index was throttled.
    pub throttled_index: u64,
    /// Requests that failed otherwise.
    pub failed: u64,
    /// Items that were returned as unprocessed.
    pub unprocessed: u64,
    /// Requests allowed at once now, the adaptive limit; null before the first request.
    pub limit: Option<u64>,
    /// Duration of a request, smoothed; null before the first success.
    pub duration_us: Option<u64>,
}

/// Blocks of events stored in the table, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocks {
    /// How many.
    pub total: u64,
    /// Events in them.
    pub events: u64,
    /// Size of their items in bytes.
    pub bytes: u64,
    /// Write units that they took, in the table and the index together.
    pub units: u64,
}

/// Write units and what they cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Write units of the stored items since the start, in the table and the index together.
    pub units: u64,
    /// Time over which the rates are counted, up to a minute; null while nothing is counted.
    pub over_us: Option<u64>,
    /// Write units a second.
    pub units_per_second: Option<String>,
    /// Money a day at this rate on demand.
    pub on_demand_a_day: Option<String>,
    /// Money a day at this rate with provisioned capacity, of which 60 % are used.
    pub provisioned_a_day: Option<String>,
    /// Price of a million write units on demand.
    pub price_per_million: String,
    /// Price of a provisioned write unit for an hour.
    pub price_per_unit_hour: String,
    /// Currency of all money.
    pub currency: String,
}

/// Gaps of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gaps {
    /// Entries of gaps since the start, over all channels; a gap that lasts has several.
    pub entered: u64,
    /// Their length, over all channels.
    pub length_us: u64,
    /// Gaps filled since the start.
    pub filled: u64,
    /// Events stored for them.
    pub filled_events: u64,
    /// Gaps that the exchange refuses to fill, since the start.
    pub unfillable: u64,
    /// Gaps of this run that wait to be filled.
    pub open: u64,
    /// Gaps that are being filled now.
    pub filling: u64,
    /// The newest gaps, newest first, at most 20.
    pub last: Vec<Gap>,
}

/// A gap of one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The channel.
    pub channel: String,
    /// First moment, by the exchange's clock.
    pub from: u64,
    /// Last moment, by the exchange's clock.
    pub through: u64,
    /// Why events may be missing; null if an earlier run or another daemon entered it.
    pub reason: Option<String>,
    /// `open`, `filling`, `filled`, or `stays` (no history, or the exchange refuses).
    pub state: String,
}

/// The audit of trades.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Until when trades of some channel are compared with the exchange's list; null before the first audit.
    pub through: Option<u64>,
    /// Trades that the table lacked, since the start.
    pub missing: u64,
}

/// Which daemon writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// `none` (no lease is configured, this daemon writes), `holder`, or `standby` (another daemon writes).
    pub role: String,
    /// Events skipped because another daemon captured them, since the start.
    pub skipped: u64,
}
