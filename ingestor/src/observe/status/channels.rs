//! What the daemon counts of each channel.

use std::collections::BTreeMap;

use shared::channel::Channel;
use shared::time::Micros;

/// What is known of one channel.
#[derive(Clone, Debug, Default)]
pub struct ChannelStatus {
    /// Events taken from the spool in this run.
    pub events: u64,
    /// Events stored in this run.
    pub stored: u64,
    /// Size of the items that hold them, in bytes.
    pub bytes: u64,
    /// Write units that these items took, in the table and the index together.
    pub units: u64,
    /// The newest `price_str`.
    pub last_price: Option<String>,
    /// Time of the newest stored event, by the exchange's clock.
    pub newest: Micros,
}

/// Events and the items that hold them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredEvents {
    /// Number of events.
    pub events: u64,
    /// Size of the items in bytes.
    pub bytes: u64,
    /// Write units that the items took, in the table and the index together.
    pub units: u64,
}

/// Returns what is known of a channel.
pub(super) fn entry<'map>(
    channels: &'map mut BTreeMap<Channel, ChannelStatus>,
    channel: &Channel,
) -> &'map mut ChannelStatus {
    if !channels.contains_key(channel) {
        channels.insert(channel.clone(), ChannelStatus::default());
    }
    channels.get_mut(channel).expect("inserted if it was not there")
}
