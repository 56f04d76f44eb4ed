//! The open connections to the exchange, each with what is known of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use shared::channel::Channel;
use tokio::time::Instant;

use crate::observe::gauges::{Gauge, lock};

/// The open connections, by their number among the connections of this process.
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<BTreeMap<u32, Arc<ConnectionStatus>>>,
    last_loss: Mutex<Option<Loss>>,
}

/// What is known of an open connection.
#[derive(Debug)]
pub struct ConnectionStatus {
    /// When it was opened.
    pub opened: Instant,
    /// The channels that it asks for.
    pub channels: Arc<[Channel]>,
    /// Subscriptions that the exchange has confirmed.
    pub confirmed: Gauge,
    /// When the last data message arrived, microseconds since the Unix epoch by the daemon's clock; zero before the first.
    pub last_message: Gauge,
    /// Everything that the exchange sent until then has arrived, microseconds since the Unix epoch by the daemon's clock; zero before
    /// the first answered heartbeat.
    pub proved: Gauge,
    /// True once its replacement is under way.
    pub leaving: AtomicBool,
}

impl ConnectionStatus {
    /// Returns its state in one word.
    #[must_use]
    pub fn state(&self) -> &'static str {
        if self.leaving.load(Ordering::Relaxed) {
            "replaced"
        } else if self.confirmed.get() < self.channels.len() as u64 {
            "confirming"
        } else {
            "open"
        }
    }
}

/// The end of a connection, or of an attempt to open one.
#[derive(Clone, Debug)]
pub struct Loss {
    /// Number of the connection that was lost.
    pub connection: u32,
    /// When it ended, microseconds since the Unix epoch by the daemon's clock.
    pub at: u64,
    /// Why it was lost, in a few words.
    pub reason: String,
}

impl Connections {
    /// Adds a connection that was just opened. It is listed until [`Connections::close`].
    pub fn open(&self, number: u32, channels: Arc<[Channel]>) -> Arc<ConnectionStatus> {
        let status = Arc::new(ConnectionStatus {
            opened: Instant::now(),
            channels,
            confirmed: Gauge::default(),
            last_message: Gauge::default(),
            proved: Gauge::default(),
            leaving: AtomicBool::new(false),
        });
        lock(&self.open).insert(number, status.clone());
        status
    }

    /// Removes a connection that has ended.
    pub fn close(&self, number: u32) {
        lock(&self.open).remove(&number);
    }

    /// Notes why a connection ended or could not be opened.
    pub fn lost(&self, loss: Loss) {
        *lock(&self.last_loss) = Some(loss);
    }

    /// Returns the open connections by number.
    #[must_use]
    pub fn all(&self) -> Vec<(u32, Arc<ConnectionStatus>)> {
        lock(&self.open).iter().map(|(number, status)| (*number, status.clone())).collect()
    }

    /// Returns the last loss; `None` before the first.
    #[must_use]
    pub fn last_loss(&self) -> Option<Loss> {
        lock(&self.last_loss).clone()
    }
}
