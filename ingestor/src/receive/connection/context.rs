//! What the connections of a socket work with, and why they end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::error::Error as SocketError;

use crate::clock::Clock;
use crate::config::Config;
use crate::exchange::network::ConnectError;
use crate::observe::connections::Loss;
use crate::observe::status::Status;
use crate::receive::ages::Ages;
use crate::spool::record::{ConnectionEvent, Record};

/// Longest time for TCP, TLS and the WebSocket handshake together; 0.6 to 0.8 s were seen from far away.
pub(in crate::receive) const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// What the connections of one socket share.
pub struct ConnectionContext {
    /// Limits of size, time and liveness.
    pub config: Arc<Config>,
    /// The daemon's clock, which stamps messages.
    pub clock: Arc<Clock>,
    /// Counters of the daemon.
    pub status: Arc<Status>,
    /// Queue to the intake.
    pub records: mpsc::Sender<Record>,
    /// Plans when the connections of all sockets reach their age limit.
    pub ages: Arc<Ages>,
    /// The socket's index among the daemon's sockets, from zero.
    pub place: u32,
}

impl ConnectionContext {
    /// Sends a record to the intake. Waits while the queue is full.
    pub(in crate::receive) async fn record(&self, record: Record) {
        // The intake outlives the sockets; if it failed, the process is about to end and there is nobody to tell.
        let _sent = self.records.send(record).await;
    }

    /// Records and logs that a connection ended.
    pub(in crate::receive) async fn note_loss(&self, connection: u32, reason: &DisconnectReason) {
        self.note_end(connection, reason).await;
        if !matches!(reason, DisconnectReason::Stopped) {
            tracing::warn!(connection, %reason, "connection lost");
        }
    }

    /// Records that a connection ended, or could not be opened.
    pub(in crate::receive) async fn note_end(&self, connection: u32, reason: &DisconnectReason) {
        let at = self.clock.now();
        self.record(ConnectionEvent::Lost { reason: reason.to_string() }.record(connection, at)).await;
        if !matches!(reason, DisconnectReason::Stopped) {
            self.status.losses.add(1);
            self.status.open.lost(Loss { connection, at: at.0, reason: reason.to_string() });
        }
    }
}

/// Why a connection ended or was not opened; the text is the gap reason in the ledger.
#[derive(Debug, thiserror::Error)]
pub(in crate::receive) enum DisconnectReason {
    #[error("the daemon stops")]
    Stopped,
    #[error("the spool is full")]
    SpoolFull,
    #[error("the exchange asked for a reconnect")]
    ReconnectRequested,
    #[error("it reached its age limit")]
    Aged,
    #[error("the exchange's list of markets changed")]
    Relisted,
    #[error("no answer to a ping")]
    NoPong,
    #[error("no answer to a heartbeat")]
    NoHeartbeat,
    #[error("the exchange takes no messages")]
    Stuck,
    #[error("the exchange closed the connection: {0}")]
    Closed(String),
    #[error("message refused: {0}")]
    Refused(String),
    #[error("not opened within {CONNECT_WITHIN:?}")]
    Slow,
    #[error("{0}")]
    Network(#[from] SocketError),
    #[error("{0}")]
    Unopened(#[from] ConnectError),
}
