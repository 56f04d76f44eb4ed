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
use crate::config::Config;
use crate::intake::Intake;
use crate::lease::Lease;
use crate::ledger::Ledger;
use crate::markets;
use crate::missed::Missed;
use crate::report::Report;
use crate::ship::Shipper;
use crate::socket::Socket;
use crate::spool::record::Record;
use crate::spool::{Spool, SpoolError};
use crate::standby::Standby;
use crate::status::{Part, Status};
use crate::stored::Stored;
use crate::table::{self, TableError};
use crate::writer::Writer;

/// Why it could not start.
mod error;

/// What is made before anything runs.
mod parts;

pub use crate::pipeline::error::PipelineError;

/// Records between sockets and intake: several hundred milliseconds of the busiest bursts seen.
const QUEUE: usize = 4_096;
/// Channels of one connection. The exchange closes it without a word at the 1,025th.
pub const CHANNELS: usize = 1_000;
/// How often a store that cannot be reached at the start is tried again.
const CHECK_AGAIN: Duration = Duration::from_secs(2);

/// A store that does not take the lease back does not keep the daemon from ending.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(2);

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

        let sockets = spawn_sockets(parts::sockets(&config, &clock, &status, &records), &stop);
        drop(records);
        let intake = Intake { spool: spool.clone(), clock, status: status.clone(), sync_every: config.sync_every };
        let writer =
            Writer::new(client.clone(), config.table.clone(), config.writers, config.request_timeout, status.clone());
        let names = config.channels.iter().map(Channel::as_str);
        let ledger = Ledger::new(spool.daemon().to_owned(), names, spool.ledger()?.as_deref())?;
        let missed = Arc::new(Missed::default());
        let filler = parts::filler(&config, &client, &writer, &status, &spool)?;
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

fn spawn_sockets(sockets: impl Iterator<Item = Socket>, stop: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for socket in sockets {
        tasks.spawn(socket.run(stop.clone()));
    }
    tasks
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
