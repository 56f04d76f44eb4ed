//! What the document says of the exchange: connections and clock.

use serde::{Deserialize, Serialize};

/// Connections to the exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Open ones.
    pub open: u64,
    /// Opened since the start.
    pub opened: u64,
    /// Lost since the start, for whatever reason.
    pub lost: u64,
    /// Confirmed subscriptions of all connections.
    pub subscriptions: u64,
    /// Heartbeats that the exchange answered since the start.
    pub heartbeats_answered: u64,
    /// The last loss, or attempt that failed.
    pub last_loss: Option<Loss>,
    /// The open ones, one by one.
    pub list: Vec<Connection>,
}

/// An open connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Its number among the connections of this process.
    pub number: u32,
    /// `confirming` (not every channel is confirmed), `open`, or `replaced` (its replacement is under way).
    pub state: String,
    /// Time since it was opened.
    pub age_us: u64,
    /// Time since its last data message; null before the first.
    pub last_message_age_us: Option<u64>,
    /// Everything that the exchange sent until so long ago has arrived; null before the first answered heartbeat.
    pub proved_age_us: Option<u64>,
    /// Channels that it asks for.
    pub channels: u64,
    /// Channels among them that the exchange confirmed.
    pub confirmed: u64,
}

/// The end of a connection, or of an attempt to open one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Number of the connection that was lost.
    pub connection: u32,
    /// How long ago it ended.
    pub age_us: u64,
    /// Why it was lost, in a few words.
    pub reason: String,
}

/// This machine's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The daemon's clock minus the exchange's, the quickest way included; null before it is measured.
    pub skew_us: Option<i64>,
    /// Steps of the clock since the start.
    pub steps: u64,
    /// Events with a time that cannot be, since the start.
    pub implausible: u64,
}
