//! Wires the rooms to one daemon: its tasks, the queues between them, start and stop. Only this file spawns.
//!
//! ```text
//! sockets --mpsc--> intake: arbiter   --append, fsync--> spool --read--> shipper --BatchWriteItem--> table
//!                  (thread)                        <--position--        |                       ^
//!                                                             gap queue --> gap filler --PutItem, Query
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
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::Clock;
use crate::config::Config;
use crate::ledger::Ledger;
use crate::ledger::gap_queue::GapQueue;
use crate::observe::page::{About, StatusPage};
use crate::observe::report::Report;
use crate::observe::status::Status;
use crate::observe::watch::Watch;
use crate::receive::intake::Intake;
use crate::receive::listing::Listing;
use crate::receive::socket::Socket;
use crate::ship::blocks::BlockStage;
use crate::ship::shipper::Shipper;
use crate::ship::standby::Standby;
use crate::spool::record::Record;
use crate::spool::{Spool, SpoolError};
use crate::store::lease::{self, Lease};
use crate::store::reader::StoreReader;
use crate::store::writer::Writer;

mod error;
mod parts;
mod stop;

pub use crate::pipeline::error::PipelineError;

/// Capacity of the queue between sockets and intake: several hundred milliseconds of the busiest bursts seen.
const QUEUE: usize = 4_096;

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
    /// The lease; ends with the daemon and is given back then.
    lease: Option<Leasing>,
    /// The listing; ends with the daemon.
    listing: AbortOnDropHandle<()>,
    /// The gap filler; ends with the daemon and does the rest after the next start.
    filler: Option<AbortOnDropHandle<()>>,
    server: JoinHandle<()>,
    page: StatusPage,
}

/// What was left when the daemon stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Number of records in the spool; they are written after the next start.
    pub left: u64,
}

impl Pipeline {
    /// Starts the daemon. Trouble with the table or the exchange keeps it neither from starting nor from capturing into
    /// its spool: it is reported, and tried again.
    ///
    /// # Errors
    ///
    /// Returns a [`PipelineError`] if the spool, the address or the configuration cannot be used.
    pub async fn start(config: Config, client: Client) -> Result<Pipeline, PipelineError> {
        // As configured: what a wildcard stands for differs from daemon to daemon while markets come and go.
        let lease_name = lease::name(&config.channels);
        let config = Arc::new(config);
        let status = Arc::new(Status::default());
        let listing = Listing::start(&config, status.clone()).await?;
        let channels = listing.channels();
        let spool = Arc::new(parts::spool(&config, &status).await?);
        let clock = Arc::new(Clock::after(spool.clock(), config.wall.clone()));
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|source| PipelineError::Listen { address: config.listen, source })?;
        let address = listener.local_addr().unwrap_or(config.listen);
        tracing::info!(%address, "listening");
        let (stop, finish) = (CancellationToken::new(), CancellationToken::new());
        let (records, received) = mpsc::channel(QUEUE);

        let sockets = spawn_sockets(parts::sockets(&config, &clock, &status, &records, &listing), &stop);
        drop(records);
        let intake = Intake { spool: spool.clone(), clock, status: status.clone(), sync_every: config.sync_every };
        let (keeps, known) = watch::channel(None);
        let writer =
            Writer::new(client.clone(), config.table.clone(), config.writers, config.request_timeout, status.clone())
                .with_keeps(known);
        let names = config.channels.iter().map(Channel::as_str);
        let ledger =
            Ledger::new(spool.daemon().to_owned(), &parts::table_name(&config), names, spool.ledger()?.as_deref())?
                .entered_every(config.ledger_every);
        let missed = Arc::new(GapQueue::default());
        let filler = parts::filler(&config, &client, &writer, &status, &spool, &channels)?;
        let (lease, standby) = turns(&config, lease_name, &client, &status, &spool);
        let blocks = BlockStage::new(config.storage.clone(), config.block_age, spool.daemon().to_owned());
        let shipper =
            Shipper::new(spool.clone(), writer, status.clone(), config.linger, ledger, missed.clone(), standby)
                .with_origin(config.origin.clone())
                .with_blocks(blocks);
        let about = About { has_lease: config.lease.is_some(), stopping: stop.clone(), ..About::default() };
        let report = Report::about(status.clone(), spool.clone(), about);
        let watch = Watch::new(&config, status.clone());
        let (spool_dir, backlog) = (config.spool_dir.display(), spool.depth());
        tracing::info!(channels = channels.len(), table = config.table, %spool_dir, backlog, "daemon started");
        Ok(Pipeline {
            sockets,
            intake: spawn_intake(intake, received),
            shipper: tokio::spawn(parts::ship(shipper, keeps, client, config.clone(), status.clone(), finish.clone())),
            lease,
            listing: AbortOnDropHandle::new(tokio::spawn(listing.run())),
            filler: filler.map(|filler| AbortOnDropHandle::new(tokio::spawn(filler.run(missed)))),
            page: report.page(),
            server: tokio::spawn(report.serve(listener, watch)),
            status,
            spool,
            address,
            stop_within: config.stop_within,
            stop,
            finish,
        })
    }

    /// Returns the status of the daemon.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.status.clone()
    }

    /// Returns the spool.
    #[must_use]
    pub fn spool(&self) -> Arc<Spool> {
        self.spool.clone()
    }

    /// Returns the status page, for another server of this process.
    #[must_use]
    pub fn page(&self) -> StatusPage {
        self.page.clone()
    }

    /// Returns the address of metrics, health and status.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.address
    }
}

fn spawn_sockets(sockets: impl Iterator<Item = Socket>, stop: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for socket in sockets {
        tasks.spawn(socket.run(stop.clone()));
    }
    tasks
}

/// Task that holds the lease, and the future that gives it back.
struct Leasing {
    task: AbortOnDropHandle<()>,
    give_back: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Creates the lease and the standby, if daemons write in turn.
fn turns(
    config: &Config,
    name: String,
    client: &Client,
    status: &Arc<Status>,
    spool: &Spool,
) -> (Option<Leasing>, Option<Standby>) {
    let Some(length) = config.lease else {
        status.writes.set(1);
        return (None, None);
    };
    let (turn, turns) = watch::channel(None);
    let (table, owner) = (config.table.clone(), spool.daemon().to_owned());
    let lease = Lease::new(client.clone(), table.clone(), name, owner.clone(), length, status.clone());
    let give_back = lease.clone().give_back();
    let task = AbortOnDropHandle::new(tokio::spawn(lease.run(turn)));
    let standby = Standby::new(turns, StoreReader { client: client.clone(), table }, owner, config.fill_after);
    (Some(Leasing { task, give_back: Box::pin(give_back) }), Some(standby))
}

/// Runs the intake on a thread of its own, because fsync blocks.
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
