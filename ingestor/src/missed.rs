use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use shared::channel::Channel;
use tokio::sync::Notify;

/// Channels of whose ledger a new gap is in the table: on their way from the shipper to whoever fills gaps. Each stands in it
/// once, so it needs no bound.
#[derive(Debug, Default)]
pub struct Missed {
    channels: Mutex<BTreeSet<Channel>>,
    added: Notify,
}

impl Missed {
    /// Adds a channel.
    pub fn add(&self, channel: Channel) {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).insert(channel);
        self.added.notify_one();
    }

    /// Takes them all, as soon as there is one.
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
