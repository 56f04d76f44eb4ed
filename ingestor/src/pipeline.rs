//! The whole daemon: who runs, what connects them, how they stop. Only this file spawns.
//!
//! ```text
//! sockets --mpsc--> intake: arbitrate --append, fsync--> spool --read--> shipper --BatchWriteItem--> table
//!                  (thread)                        <--position--        |                       ^
//!                                                                   missed --> filler --PutItem, Query
//! ```
//!
//! Stop: sockets close; the intake makes durable what they sent and ends; the shipper drains the spool, until a deadline;
//! what is left is written after the next start.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::thread;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use shared::channel::Channel;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::Clock;
use crate::config::{Config, Faults};
use crate::fill::Filler;
use crate::intake::Intake;
use crate::lease::Lease;
use crate::ledger::Ledger;
use crate::markets;
use crate::missed::Missed;
use crate::report::Report;
use crate::rest::{Rest, RestError};
use crate::ship::Shipper;
use crate::socket::Socket;
use crate::spool::record::Record;
use crate::spool::{Spool, SpoolError};
use crate::standby::Standby;
use crate::status::{Part, Status};
use crate::stored::Stored;
use crate::table::{self, TableError};
use crate::writer::Writer;

/// Records between sockets and intake: several hundred milliseconds of the busiest bursts seen.
const QUEUE: usize = 4_096;
/// Channels of one connection. The exchange closes it without a word at the 1,025th.
pub const CHANNELS: usize = 1_000;
/// How often a store that cannot be reached at the start is tried again.
const CHECK_AGAIN: Duration = Duration::from_secs(2);

/// A store that does not take the lease back does not keep the daemon from ending.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(2);

/// Why the daemon could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The disk.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The table is not one that events can be written to.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A market that the exchange does not have, or a wildcard that cannot be expanded.
    #[error(transparent)]
    Config(#[from] Faults),
    /// The address for metrics and health is taken.
    #[error("cannot listen on {address}: {source}; stop what uses it or set --listen")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The spool's ledger was written by a later version, or is damaged.
    #[error("the spool's ledger cannot be read: {0}")]
    Ledger(#[from] serde_json::Error),
    /// The client for the exchange's REST API cannot be built.
    #[error(transparent)]
    Rest(#[from] RestError),
    /// A stage ended that should not.
    #[error("the {0} ended unexpectedly")]
    Ended(&'static str),
}

/// A running daemon.
pub struct Pipeline {
    status: Arc<Status>,
    spool: Arc<Spool>,
    address: std::net::SocketAddr,
    stop_within: Duration,
    stop: CancellationToken,
    finish: CancellationToken,
    sockets: JoinSet<()>,
    intake: oneshot::Receiver<Result<(), SpoolError>>,
    shipper: JoinHandle<Result<(), PipelineError>>,
    /// Ends with the daemon, and is given back then.
    lease: Option<Leasing>,
    /// Ends with the daemon: what it has not done it does after the next start.
    filler: Option<AbortOnDropHandle<()>>,
    server: JoinHandle<()>,
}

/// What was left when the daemon stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Records in the spool; they are written after the next start.
    pub left: u64,
}

impl Pipeline {
    /// Starts the daemon. A store that cannot be reached does not keep it from capturing; one that is wrong does.
    ///
    /// # Errors
    ///
    /// [`PipelineError`].
    pub async fn start(config: Config, client: Client) -> Result<Pipeline, PipelineError> {
        let reachable = match table::check(&client, &config.table).await {
            Ok(()) => true,
            Err(TableError::Unreachable { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        let channels = markets::channels(&config).await?;
        let config = Arc::new(Config { channels, ..config });
        let status = Arc::new(Status::default());
        let spool = Arc::new(Spool::open(&config.spool_dir, config.spool_max)?);
        let clock = Arc::new(Clock::after(spool.clock()));
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|source| PipelineError::Listen { address: config.listen, source })?;
        let address = listener.local_addr().unwrap_or(config.listen);
        let (stop, finish) = (CancellationToken::new(), CancellationToken::new());
        let (records, received) = mpsc::channel(QUEUE);

        let sockets = spawn_sockets(&config, &clock, &status, &records, &stop);
        drop(records);
        let intake = Intake { spool: spool.clone(), clock, status: status.clone(), sync_every: config.sync_every };
        let writer =
            Writer::new(client.clone(), config.table.clone(), config.writers, config.request_timeout, status.clone());
        let names = config.channels.iter().map(Channel::as_str);
        let ledger = Ledger::new(spool.daemon().to_owned(), names, spool.ledger()?.as_deref())?;
        let missed = Arc::new(Missed::default());
        let filler = filler(&config, &client, &writer, &status, &spool)?;
        let (lease, standby) = turns(&config, &client, &status, &spool);
        let shipper =
            Shipper::new(spool.clone(), writer, status.clone(), config.linger, ledger, missed.clone(), standby);
        let report = Report::new(status.clone(), spool.clone()).router();
        tracing::info!(
            channels = config.channels.len(),
            table = config.table,
            backlog = spool.depth(),
            "daemon started"
        );
        Ok(Pipeline {
            sockets,
            intake: spawn_intake(intake, received),
            shipper: tokio::spawn(ship(shipper, client, config.clone(), status.clone(), reachable, finish.clone())),
            lease,
            filler: filler.map(|filler| AbortOnDropHandle::new(tokio::spawn(filler.run(missed)))),
            server: tokio::spawn(serve(listener, report)),
            status,
            spool,
            address,
            stop_within: config.stop_within,
            stop,
            finish,
        })
    }

    /// What the daemon knows of itself.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.status.clone()
    }

    /// The spool.
    #[must_use]
    pub fn spool(&self) -> Arc<Spool> {
        self.spool.clone()
    }

    /// Where metrics and health are served.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.address
    }

    /// Waits until `until` is done, then stops; ends earlier if a stage fails.
    ///
    /// # Errors
    ///
    /// [`PipelineError`] of the stage that failed.
    pub async fn run(mut self, until: impl Future<Output = ()>) -> Result<Stopped, PipelineError> {
        tokio::select! {
            () = until => {}
            ended = &mut self.intake => return Err(intake_error(ended)),
            ended = &mut self.shipper => return Err(shipper_error(ended)),
        }
        self.stop().await
    }

    /// Stops in order, within the configured time.
    ///
    /// # Errors
    ///
    /// [`PipelineError`] if a stage failed meanwhile.
    pub async fn stop(mut self) -> Result<Stopped, PipelineError> {
        let deadline = Instant::now() + self.stop_within;
        self.stop.cancel();
        self.filler = None;
        // The sockets' end closes the intake's queue, and that ends the intake once everything is durable.
        while self.sockets.join_next().await.is_some() {}
        match (&mut self.intake).await {
            Ok(Ok(())) => {}
            ended => return Err(intake_error(ended)),
        }
        self.finish.cancel();
        match tokio::time::timeout_at(deadline, &mut self.shipper).await {
            Ok(Ok(Ok(()))) => {}
            Ok(ended) => return Err(shipper_error(ended)),
            Err(_) => {
                self.shipper.abort();
                tracing::warn!(left = self.spool.depth(), "stopped before the spool was drained");
            }
        }
        self.server.abort();
        if let Some(Leasing { task, give_back }) = self.lease {
            drop(task);
            // Another daemon would only have to wait for the lease's end.
            let _given_back = tokio::time::timeout(GIVE_BACK_WITHIN, give_back).await;
        }
        Ok(Stopped { left: self.spool.depth() })
    }
}

/// Every channel on each of the configured connections; spread over several where they are too many for one.
fn spawn_sockets(
    config: &Arc<Config>,
    clock: &Arc<Clock>,
    status: &Arc<Status>,
    records: &mpsc::Sender<Record>,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let opened = Arc::new(AtomicU32::new(0));
    let parts = (0..config.connections).flat_map(|_| config.channels.chunks(CHANNELS));
    (0..)
        .zip(parts)
        .map(|(place, channels)| Socket {
            config: config.clone(),
            clock: clock.clone(),
            status: status.clone(),
            records: records.clone(),
            channels: channels.into(),
            place,
            opened: opened.clone(),
        })
        .fold(JoinSet::new(), |mut sockets, socket| {
            sockets.spawn(socket.run(stop.clone()));
            sockets
        })
}

/// The lease's task, and what gives it back.
struct Leasing {
    task: AbortOnDropHandle<()>,
    give_back: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Where daemons take turns.
fn turns(config: &Config, client: &Client, status: &Arc<Status>, spool: &Spool) -> (Option<Leasing>, Option<Standby>) {
    let Some(length) = config.lease else {
        status.writes.set(1);
        return (None, None);
    };
    let (turn, turns) = watch::channel(None);
    let (table, owner) = (config.table.clone(), spool.daemon().to_owned());
    let lease = Lease::new(client.clone(), table.clone(), owner.clone(), length, status.clone());
    let give_back = Lease::give_back(client.clone(), table.clone(), owner.clone(), status.clone());
    let task = AbortOnDropHandle::new(tokio::spawn(lease.run(turn)));
    let standby = Standby::new(turns, Stored { client: client.clone(), table }, owner);
    (Some(Leasing { task, give_back: Box::pin(give_back) }), Some(standby))
}

/// Where there is a REST API to ask.
fn filler(
    config: &Config,
    client: &Client,
    writer: &Writer,
    status: &Arc<Status>,
    spool: &Spool,
) -> Result<Option<Filler>, RestError> {
    let Some(rest_url) = &config.rest_url else { return Ok(None) };
    let stored = Stored { client: client.clone(), table: config.table.clone() };
    let (writer, status, daemon) = (writer.clone(), status.clone(), spool.daemon().to_owned());
    let rest = Rest::new(rest_url)?;
    Ok(Some(Filler::new(rest, stored, writer, status, daemon, config.fill_after, &config.channels)))
}

/// Ships once the table is known to be the right one.
async fn ship(
    shipper: Shipper,
    client: Client,
    config: Arc<Config>,
    status: Arc<Status>,
    mut reachable: bool,
    finish: CancellationToken,
) -> Result<(), PipelineError> {
    while !reachable {
        match table::check(&client, &config.table).await {
            Ok(()) => reachable = true,
            Err(error @ TableError::Unreachable { .. }) => {
                status.set_trouble(Part::Table, Some(error.to_string()));
                tokio::time::sleep(CHECK_AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    status.set_trouble(Part::Table, None);
    Ok(shipper.run(finish).await?)
}

/// On a thread of its own: fsync blocks.
fn spawn_intake(intake: Intake, received: mpsc::Receiver<Record>) -> oneshot::Receiver<Result<(), SpoolError>> {
    let (done, ended) = oneshot::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let result = runtime.expect("a runtime without i/o always builds").block_on(intake.run(received));
        // The receiver is gone if the daemon is being dropped.
        let _sent = done.send(result);
    });
    ended
}

async fn serve(listener: TcpListener, router: axum::Router) {
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "metrics and health are no longer served");
    }
}

fn intake_error(ended: Result<Result<(), SpoolError>, oneshot::error::RecvError>) -> PipelineError {
    match ended {
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) | Err(_) => PipelineError::Ended("intake"),
    }
}

fn shipper_error(ended: Result<Result<(), PipelineError>, tokio::task::JoinError>) -> PipelineError {
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) | Err(_) => PipelineError::Ended("shipper"),
    }
}
