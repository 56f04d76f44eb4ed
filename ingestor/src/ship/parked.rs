//! Records that wait for another daemon's ledger entry.

use std::collections::{BTreeMap, VecDeque};

use shared::channel::Channel;
use shared::time::Micros;
use tokio::time::Instant;

/// A record that waits. It stays in the spool and is read again when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ParkedRecord {
    /// Sequence of the record in the spool.
    pub(super) sequence: u64,
    /// Time of its event, by the exchange's clock.
    pub(super) time: Micros,
    /// When it is written at the latest.
    pub(super) until: Instant,
}

/// The records that wait for another daemon's ledger entry, channel by channel in the order of the spool.
#[derive(Debug, Default)]
pub(super) struct Parked {
    channels: BTreeMap<Channel, VecDeque<ParkedRecord>>,
}

impl Parked {
    /// Adds a record behind those of its channel.
    pub(super) fn add(&mut self, channel: Channel, waiting: ParkedRecord) {
        self.channels.entry(channel).or_default().push_back(waiting);
    }

    /// Returns true if a record of the channel waits.
    pub(super) fn has(&self, channel: &Channel) -> bool {
        self.channels.contains_key(channel)
    }

    /// Returns true if no record waits.
    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    /// Lists the channels of which records wait.
    pub(super) fn channels(&self) -> Vec<Channel> {
        self.channels.keys().cloned().collect()
    }

    /// Returns the first record of a channel.
    pub(super) fn first(&self, channel: &Channel) -> Option<ParkedRecord> {
        self.channels.get(channel)?.front().copied()
    }

    /// Removes the first record of a channel.
    pub(super) fn remove_first(&mut self, channel: &Channel) {
        if let Some(records) = self.channels.get_mut(channel) {
            records.pop_front();
            if records.is_empty() {
                self.channels.remove(channel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_waits_for_itself() {
        let [quiet, busy] = ["quiet", "busy"].map(|name| Channel::from_frame(name.to_owned()));
        let waiting = |sequence| ParkedRecord { sequence, time: Micros(sequence), until: Instant::now() };
        let mut parked = Parked::default();
        for (channel, sequence) in [(&quiet, 1), (&busy, 2), (&busy, 3)] {
            parked.add(channel.clone(), waiting(sequence));
        }
        assert_eq!(parked.channels(), [busy.clone(), quiet.clone()]);
        assert_eq!(parked.first(&busy).map(|waiting| waiting.sequence), Some(2));
        parked.remove_first(&busy);
        parked.remove_first(&busy);
        assert!(!parked.has(&busy) && parked.has(&quiet) && !parked.is_empty());
        assert_eq!(parked.first(&busy), None);
    }
}
