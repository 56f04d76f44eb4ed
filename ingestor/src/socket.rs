use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::error::Error as SocketError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::config::Config;
use crate::liveness::Liveness;
use crate::socket::line::Line;
use crate::spool::record::{Record, Story};
use crate::status::{Part, Status};
use crate::subscriptions::Subscriptions;

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
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut immediate = true;
        let mut connection = 0;
        while !stop.is_cancelled() {
            if self.status.intake_stopped.load(Ordering::Relaxed) {
                sleep(LOOK_AGAIN, &stop).await;
                continue;
            }
            connection += 1;
            let opened = Instant::now();
            let lost = match self.open(&stop).await {
                Ok(stream) => self.serve(stream, connection, &stop).await,
                Err(lost) => self.unreachable(lost),
            };
            self.record(Story::Lost { reason: lost.to_string() }.record(connection, self.clock.now())).await;
            if matches!(lost, Lost::Stopped) {
                return;
            }
            self.status.losses.add(1);
            tracing::warn!(connection, reason = %lost, "connection lost");
            if opened.elapsed() >= STABLE {
                backoff.reset();
                immediate = true;
            }
            if !std::mem::take(&mut immediate) {
                sleep(backoff.wait(), &stop).await;
            }
        }
    }

    fn unreachable(&self, lost: Lost) -> Lost {
        self.status.set_trouble(Part::Exchange, Some(format!("{} cannot be reached: {lost}", self.config.url)));
        lost
    }

    async fn open(&self, stop: &CancellationToken) -> Result<Stream, Lost> {
        let limits = WebSocketConfig::default()
            .max_message_size(Some(self.config.max_message))
            .max_frame_size(Some(self.config.max_message));
        let connect = connect_async_tls_with_config(self.config.url.as_str(), Some(limits), true, Some(tls()));
        tokio::select! {
            () = stop.cancelled() => Err(Lost::Stopped),
            opened = tokio::time::timeout(CONNECT_WITHIN, connect) => match opened {
                Ok(opened) => Ok(opened?.0),
                Err(_) => Err(Lost::Slow),
            },
        }
    }

    /// Serves an open connection until it ends.
    async fn serve(&self, stream: Stream, connection: u32, stop: &CancellationToken) -> Lost {
        self.status.connects.add(1);
        self.status.connections.add(1);
        self.status.set_trouble(Part::Exchange, None);
        self.record(Story::Connected.record(connection, self.clock.now())).await;
        let now = Instant::now();
        let mut line = Line {
            socket: self,
            stream,
            connection,
            liveness: Liveness::new(self.config.liveness, now),
            subscriptions: Subscriptions::asked(&self.config.channels, self.config.confirm_within, now),
        };
        let lost = match line.subscribe(&self.config.channels).await {
            Ok(()) => line.run(stop).await.err().unwrap_or(Lost::Stopped),
            Err(lost) => lost,
        };
        self.status.connections.sub(1);
        self.status.subscriptions.sub(line.subscriptions.confirmed() as u64);
        if matches!(lost, Lost::Stopped | Lost::SpoolFull | Lost::ReconnectRequested) {
            // The exchange may not answer; the connection is over either way.
            let _closed = tokio::time::timeout(CLOSE_WITHIN, line.stream.close(None)).await;
        }
        lost
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
fn tls() -> Connector {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Connector::Rustls(Arc::new(config))
}
