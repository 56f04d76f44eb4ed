//! Queue of channels with newly written gaps, from the shipper to the gap filler.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use shared::channel::Channel;
use tokio::sync::Notify;

/// Queue of channels with newly written gaps, from the shipper to the gap filler; deduplicated, hence bounded.
#[derive(Debug, Default)]
pub struct GapQueue {
    channels: Mutex<BTreeSet<Channel>>,
    added: Notify,
}

impl GapQueue {
    /// Adds a channel.
    pub fn add(&self, channel: Channel) {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).insert(channel);
        self.added.notify_one();
    }

    /// Takes all channels; waits until there is one.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    pub async fn take(&self) -> BTreeSet<Channel> {
        loop {
            let taken = std::mem::take(&mut *self.channels.lock().unwrap_or_else(PoisonError::into_inner));
            if !taken.is_empty() {
                return taken;
            }
            self.added.notified().await;
        }
    }
}
