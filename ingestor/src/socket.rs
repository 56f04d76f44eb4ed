use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use shared::channel::Channel;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::error::Error as SocketError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::config::Config;
use crate::socket::line::Line;
use crate::spool::record::{Record, Story};
use crate::status::{Part, Status};

/// An open connection.
mod line;

/// The ceiling of the wait before the second attempt; the first is immediate.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The ceiling of the longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A connection that lasted this long was a good one: after it the first attempt is immediate again.
const STABLE: Duration = Duration::from_secs(60);
/// TCP, TLS and the WebSocket's handshake together; 0.6 to 0.8 s were seen from far away.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// What a close handshake may take when the daemon stops.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);
/// Between the openings of two sockets, so that not all reach their age limit at once.
const STAGGER: Duration = Duration::from_millis(500);
/// How often a stopped intake is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A line to the exchange: one connection at a time, renewed as often as needed. It stamps messages and hands them on;
/// nothing on this path waits for the table.
pub struct Socket {
    /// What to subscribe to and how.
    pub config: Arc<Config>,
    /// Where times come from.
    pub clock: Arc<Clock>,
    /// Where it counts.
    pub status: Arc<Status>,
    /// Where records go: the intake.
    pub records: mpsc::Sender<Record>,
    /// What it subscribes to.
    pub channels: Arc<[Channel]>,
    /// Which of the daemon's sockets it is, from zero: they open one after the other.
    pub place: u32,
    /// Connections opened by all sockets of this run, for their numbers.
    pub opened: Arc<AtomicU32>,
}

/// When to try again.
struct Retry {
    backoff: Backoff,
    immediate: bool,
}

impl Retry {
    fn new() -> Retry {
        Retry { backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT), immediate: true }
    }

    /// The first attempt is immediate.
    fn wait(&mut self) -> Duration {
        if std::mem::take(&mut self.immediate) { Duration::ZERO } else { self.backoff.wait() }
    }

    /// A connection ended; after a good one the next attempt is immediate again.
    fn note(&mut self, lasted: Duration) {
        if lasted >= STABLE {
            *self = Retry::new();
        }
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the daemon stops")]
    Stopped,
    #[error("the spool is full")]
    SpoolFull,
    #[error("the exchange asked for a reconnect")]
    ReconnectRequested,
    #[error("it reached its age limit")]
    Aged,
    #[error("no answer to ping or heartbeat")]
    Mute,
    #[error("the exchange closed the connection: {0}")]
    Closed(String),
    #[error("message refused: {0}")]
    Refused(String),
    #[error("not opened within {CONNECT_WITHIN:?}")]
    Slow,
    #[error("{0}")]
    Network(#[from] SocketError),
}

impl Socket {
    /// Runs until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        sleep(STAGGER * self.place, &stop).await;
        let mut retry = Retry::new();
        let Some(mut line) = self.establish(&mut retry, &stop).await else { return };
        loop {
            let lost = line.run(&stop).await;
            let next = match lost {
                Lost::ReconnectRequested | Lost::Aged => self.replace(&mut line, &stop).await,
                _ => None,
            };
            retry.note(line.opened.elapsed());
            line.end(lost).await;
            line = match next {
                Some(next) => next,
                None => match self.establish(&mut retry, &stop).await {
                    Some(next) => next,
                    None => return,
                },
            };
        }
    }

    /// Make before break: the old line goes on until every subscription of the new one is confirmed, and until it is proved
    /// that the old one has delivered everything up to then. `None`: stopped.
    async fn replace<'socket>(
        &'socket self,
        line: &mut Line<'socket>,
        stop: &CancellationToken,
    ) -> Option<Line<'socket>> {
        let replaced = stop.child_token();
        // An orderly replacement is no failure: it does not wait, however many there were.
        let mut retry = Retry::new();
        // Both run to their end: a line that is dropped in the middle of a message would lose it.
        let (next, left) = tokio::join!(
            async {
                let next = self.establish(&mut retry, stop).await;
                replaced.cancel();
                next
            },
            line.leave(&replaced, stop),
        );
        if let Err(lost) = left {
            tracing::warn!(connection = line.connection, reason = %lost, "connection lost before it was replaced");
        }
        next
    }

    /// Tries until a connection is open and all its subscriptions are confirmed. `None`: stopped.
    async fn establish<'socket>(&'socket self, retry: &mut Retry, stop: &CancellationToken) -> Option<Line<'socket>> {
        loop {
            while self.status.intake_stopped.load(Ordering::Relaxed) && !stop.is_cancelled() {
                sleep(LOOK_AGAIN, stop).await;
            }
            sleep(retry.wait(), stop).await;
            if stop.is_cancelled() {
                return None;
            }
            let connection = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
            let mut line = match self.open(stop).await {
                Ok(stream) => self.line(stream, connection).await,
                Err(lost) => {
                    let sentence = format!("{} cannot be reached: {lost}", self.config.url);
                    self.status.set_trouble(Part::Exchange, Some(sentence));
                    self.note_loss(connection, &lost).await;
                    continue;
                }
            };
            match line.confirm(stop).await {
                Ok(()) => return Some(line),
                Err(lost) => line.end(lost).await,
            }
        }
    }

    async fn note_loss(&self, connection: u32, lost: &Lost) {
        self.record(Story::Lost { reason: lost.to_string() }.record(connection, self.clock.now())).await;
        if !matches!(lost, Lost::Stopped) {
            self.status.losses.add(1);
            tracing::warn!(connection, reason = %lost, "connection lost");
        }
    }

    async fn open(&self, stop: &CancellationToken) -> Result<Stream, Lost> {
        let limits = WebSocketConfig::default()
            .max_message_size(Some(self.config.max_message))
            .max_frame_size(Some(self.config.max_message));
        let connect = connect_async_tls_with_config(
            self.config.url.as_str(),
            Some(limits),
            true,
            Some(Connector::Rustls(Arc::new(tls()))),
        );
        tokio::select! {
            () = stop.cancelled() => Err(Lost::Stopped),
            opened = tokio::time::timeout(CONNECT_WITHIN, connect) => match opened {
                Ok(opened) => Ok(opened?.0),
                Err(_) => Err(Lost::Slow),
            },
        }
    }

    async fn line(&self, stream: Stream, connection: u32) -> Line<'_> {
        self.status.connects.add(1);
        self.status.connections.add(1);
        self.status.set_trouble(Part::Exchange, None);
        self.record(Story::Connected.record(connection, self.clock.now())).await;
        Line::new(self, stream, connection)
    }

    async fn record(&self, record: Record) {
        // The intake outlives the sockets; if it failed, the process is about to end and there is nobody to tell.
        let _sent = self.records.send(record).await;
    }
}

async fn sleep(wait: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = stop.cancelled() => {}
    }
}

/// The TLS backend stands here alone, so that it can be changed: one report speaks of handshakes that failed with rustls
/// in an environment where others worked.
pub(crate) fn tls() -> ClientConfig {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
