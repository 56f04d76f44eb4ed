//! The limits by which a connection counts as dead.

use std::time::Duration;

/// Intervals of pings and heartbeats, and the time for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Interval between two WebSocket pings.
    pub ping_every: Duration,
    /// Interval between two `bts:heartbeat` messages.
    pub heartbeat_every: Duration,
    /// Time between a ping or heartbeat and its answer.
    pub answer_within: Duration,
}

impl Default for Limits {
    /// Finds a mute connection within 3 s, however quiet its channels are.
    fn default() -> Limits {
        Limits {
            ping_every: Duration::from_secs(1),
            heartbeat_every: Duration::from_secs(5),
            answer_within: Duration::from_secs(2),
        }
    }
}
