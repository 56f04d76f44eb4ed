//! Keeps one connection to the exchange open at a time and replaces it without a break.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use shared::channel::Channel;
use tokio::sync::{Notify, watch};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::exchange::network::{self, Stream};
use crate::observe::status::Component;
use crate::receive::connection::{CONNECT_WITHIN, Connection, ConnectionContext, DisconnectReason};
use crate::spool::record::ConnectionEvent;

/// Ceiling of the wait before the second attempt; the first is immediate.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Ceiling of the longest wait: events are captured again within five seconds after the network is back. The exchange publishes no
/// limit of connections; each socket opens one at most every two seconds on average.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// Age from which a connection counts as stable: after it the first attempt is immediate again.
const STABLE: Duration = Duration::from_secs(60);
/// Delay between the first attempts of two sockets: the exchange limits handshakes.
const STAGGER: Duration = Duration::from_millis(500);
/// Interval at which a socket checks whether a stopped intake goes on.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Keeps one connection to the exchange at a time and renews it as often as needed. Stamps messages and sends them to the
/// intake; nothing on this path waits for the table.
pub struct Socket {
    /// What its connections work with.
    pub context: ConnectionContext,
    /// The channels to subscribe to; when they change, the connection is replaced.
    pub channels: watch::Receiver<Arc<[Channel]>>,
    /// Notified when a connection is open and confirmed.
    pub ready: Arc<Notify>,
    /// Number of connections that all sockets of this process have opened; the next one gets the next number.
    pub opened: Arc<AtomicU32>,
}

/// Decides how long to wait before the next attempt.
struct ReconnectDelay {
    backoff: Backoff,
    immediate: bool,
}

impl ReconnectDelay {
    fn new() -> ReconnectDelay {
        ReconnectDelay { backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT), immediate: true }
    }

    /// Returns the wait before the next attempt; the first attempt is immediate.
    fn wait(&mut self) -> Duration {
        if std::mem::take(&mut self.immediate) { Duration::ZERO } else { self.backoff.wait() }
    }

    /// Notes the age of a connection that ended; after a stable one the next attempt is immediate again.
    fn note(&mut self, lasted: Duration) {
        if lasted >= STABLE {
            *self = ReconnectDelay::new();
        }
    }
}

impl Socket {
    /// Keeps a connection open until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        self.until_listed(&stop).await;
        sleep(STAGGER * self.context.place, &stop).await;
        let mut retry = ReconnectDelay::new();
        let Some(mut connection) = self.establish(None, &mut retry, &stop).await else { return };
        loop {
            let reason = connection.run(&stop).await;
            let next = match reason {
                DisconnectReason::ReconnectRequested | DisconnectReason::Aged | DisconnectReason::Relisted => {
                    self.replace(&mut connection, &stop).await
                }
                _ => None,
            };
            retry.note(connection.opened.elapsed());
            connection.end(reason).await;
            connection = match next {
                Some(next) => next,
                None => match self.establish(None, &mut retry, &stop).await {
                    Some(next) => next,
                    None => return,
                },
            };
        }
    }

    /// Replaces a connection, make before break: the old one goes on until the new one has confirmed every channel that the old
    /// one has, and until it is proved that the old one has delivered everything up to then. Returns `None` once stopped.
    async fn replace<'socket>(
        &'socket self,
        connection: &mut Connection<'socket>,
        stop: &CancellationToken,
    ) -> Option<Connection<'socket>> {
        let replaced = stop.child_token();
        // An orderly replacement is no failure: it does not wait, however many there were.
        let mut retry = ReconnectDelay::new();
        let held = connection.subscriptions.confirmed().clone();
        // Both run to their end: a connection that is dropped in the middle of a message loses it.
        let (next, left) = tokio::join!(
            async {
                let next = self.establish(Some(&held), &mut retry, stop).await;
                replaced.cancel();
                next
            },
            connection.leave(&replaced, stop),
        );
        if let Err(reason) = left {
            tracing::warn!(connection = connection.number, %reason, "connection lost before it was replaced");
        }
        next
    }

    /// Tries until a connection is open and has confirmed its channels, at least those that the connection before it `held`. Returns
    /// `None` once stopped.
    async fn establish<'socket>(
        &'socket self,
        held: Option<&BTreeSet<Channel>>,
        retry: &mut ReconnectDelay,
        stop: &CancellationToken,
    ) -> Option<Connection<'socket>> {
        loop {
            while self.context.status.intake_stopped.load(Ordering::Relaxed) && !stop.is_cancelled() {
                sleep(LOOK_AGAIN, stop).await;
            }
            sleep(retry.wait(), stop).await;
            if stop.is_cancelled() {
                return None;
            }
            let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
            let mut connection = match self.open(stop).await {
                Ok(stream) => self.connected(stream, number).await,
                Err(reason) => {
                    let sentence = format!("{} cannot be reached: {reason}", self.context.config.url);
                    // The trouble is what the log tells: of the attempts there may be thousands.
                    self.context.status.set_trouble(Component::Exchange, Some(sentence));
                    tracing::debug!(connection = number, %reason, "connection not opened");
                    self.context.note_end(number, &reason).await;
                    continue;
                }
            };
            match connection.confirm(held, stop).await {
                Ok(()) => {
                    self.ready.notify_one();
                    return Some(connection);
                }
                Err(reason) => connection.end(reason).await,
            }
        }
    }

    /// Waits until there is a channel to subscribe to: a wildcard has no channels before the exchange's markets are known.
    async fn until_listed(&self, stop: &CancellationToken) {
        let mut channels = self.channels.clone();
        tokio::select! {
            // Whoever changes the list is gone: it stays as it is.
            _listed = channels.wait_for(|channels| !channels.is_empty()) => {}
            () = stop.cancelled() => {}
        }
    }

    /// Opens a connection within [`CONNECT_WITHIN`].
    async fn open(&self, stop: &CancellationToken) -> Result<Stream, DisconnectReason> {
        let limits = WebSocketConfig::default()
            .max_message_size(Some(self.context.config.max_message))
            .max_frame_size(Some(self.context.config.max_message));
        let connect = network::connect(&self.context.config.url, limits);
        tokio::select! {
            () = stop.cancelled() => Err(DisconnectReason::Stopped),
            opened = tokio::time::timeout(CONNECT_WITHIN, connect) => match opened {
                Ok(opened) => Ok(opened?),
                Err(_) => Err(DisconnectReason::Slow),
            },
        }
    }

    /// Counts and records an opened connection.
    async fn connected(&self, stream: Stream, number: u32) -> Connection<'_> {
        self.context.status.connects.add(1);
        self.context.status.connections.add(1);
        self.context.status.set_trouble(Component::Exchange, None);
        self.context.record(ConnectionEvent::Connected.record(number, self.context.clock.now())).await;
        Connection::new(&self.context, self.channels.clone(), stream, number)
    }
}

async fn sleep(wait: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = stop.cancelled() => {}
    }
}
