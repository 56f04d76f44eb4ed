//! Builds the parts of the daemon.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use shared::channel::Channel;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::Clock;
use crate::config::Config;
use crate::exchange::rest::{Rest, RestError};
use crate::gap_fill::filler::{GapFiller, Timing};
use crate::observe::status::{Component, Status};
use crate::pipeline::error::PipelineError;
use crate::receive::ages::Ages;
use crate::receive::connection::ConnectionContext;
use crate::receive::listing::Listing;
use crate::receive::socket::Socket;
use crate::ship::shipper::Shipper;
use crate::spool::record::Record;
use crate::spool::{Spool, SpoolError};
use crate::store::keeping::{Keeping, KnownKeeps};
use crate::store::reader::StoreReader;
use crate::store::table;
use crate::store::writer::Writer;

/// Interval at which a table that cannot be used is checked again.
const CHECK_AGAIN: Duration = Duration::from_secs(2);
/// Interval at which a full disk is tried again.
const ROOM_AGAIN: Duration = Duration::from_secs(1);

/// Opens the spool. Waits while the disk is full: once there is room the daemon captures, and nobody has to start it
/// again.
pub(super) async fn spool(config: &Config, status: &Status) -> Result<Spool, SpoolError> {
    loop {
        match Spool::open(&config.spool_dir, config.spool_max) {
            Err(error) if error.is_full() => {
                status.set_trouble(Component::Disk, Some(format!("{error}; free space and it goes on")));
            }
            opened => {
                status.set_trouble(Component::Disk, None);
                let spool = opened?;
                note_backlog(&spool, status)?;
                return Ok(spool);
            }
        }
        tokio::time::sleep(ROOM_AGAIN).await;
    }
}

/// Notes since when the backlog of an earlier run waits.
fn note_backlog(spool: &Spool, status: &Status) -> Result<(), SpoolError> {
    let position = spool.position();
    let oldest = spool.read(position, 1, 1)?.into_iter().next();
    oldest.iter().for_each(|(sequence, record)| status.backlog.note(*sequence, record.received_at.0));
    Ok(())
}

/// Creates the sockets: every channel on each of the configured connections, spread over several if they are too many
/// for one.
pub(super) fn sockets<'a>(
    config: &'a Arc<Config>,
    clock: &'a Arc<Clock>,
    status: &'a Arc<Status>,
    records: &'a mpsc::Sender<Record>,
    listing: &Listing,
) -> impl Iterator<Item = Socket> + 'a {
    let opened = Arc::new(AtomicU32::new(0));
    let ready = listing.opened();
    let shards = listing.shards();
    let parts = (0..config.connections).flat_map(move |_| shards.clone());
    let ages = Arc::new(Ages::new(config.max_age, parts.clone().count()));
    (0..).zip(parts).map(move |(place, channels)| Socket {
        context: ConnectionContext {
            config: config.clone(),
            clock: clock.clone(),
            status: status.clone(),
            records: records.clone(),
            ages: ages.clone(),
            place,
        },
        channels,
        ready: ready.clone(),
        opened: opened.clone(),
    })
}

/// Creates the gap filler; `None` without a REST API to ask.
pub(super) fn filler(
    config: &Config,
    client: &Client,
    writer: &Writer,
    status: &Arc<Status>,
    spool: &Spool,
    channels: &[Channel],
) -> Result<Option<GapFiller>, RestError> {
    let Some(rest_url) = &config.rest_url else { return Ok(None) };
    let stored = StoreReader { client: client.clone(), table: config.table.clone() };
    let (writer, status, daemon) = (writer.clone(), status.clone(), spool.daemon().to_owned());
    let rest = Rest::new(rest_url)?;
    let timing = Timing { after: config.fill_after, snapshot: config.snapshot_every, audit: config.audit_every };
    Ok(Some(GapFiller::new(rest, stored, writer, status, daemon, timing, channels)))
}

/// Runs the shipper once the table is known to be the right one, and how long its items are kept.
pub(super) async fn ship(
    shipper: Shipper,
    keeps: watch::Sender<KnownKeeps>,
    client: Client,
    config: Arc<Config>,
    status: Arc<Status>,
    finish: CancellationToken,
) -> Result<(), PipelineError> {
    // A table may be created, repaired or permitted while the daemon runs, and meanwhile nothing that is captured is lost.
    while let Err(error) = table::check(&client, &config.table).await {
        status.set_trouble(Component::Table, Some(error.to_string()));
        tokio::select! {
            () = tokio::time::sleep(CHECK_AGAIN) => {}
            () = finish.cancelled() => return Ok(()),
        }
    }
    let keeping = Keeping::new(client, &config);
    let known = loop {
        match keeping.agree().await {
            Ok(known) => break known,
            Err(reason) => status.set_trouble(Component::Table, Some(reason)),
        }
        tokio::select! {
            () = tokio::time::sleep(CHECK_AGAIN) => {}
            () = finish.cancelled() => return Ok(()),
        }
    };
    status.set_trouble(Component::Table, None);
    keeps.send_replace(Some(Arc::new(known)));
    tokio::select! {
        shipped = shipper.run(finish) => Ok(shipped?),
        () = keeping.follow(&keeps) => Ok(()),
    }
}

/// Waits until a task has ended; for ever if there is none.
pub(super) async fn ended(task: Option<&mut AbortOnDropHandle<()>>) {
    match task {
        // However it ended, it is gone.
        Some(task) => drop(task.await),
        None => std::future::pending().await,
    }
}

/// Returns what tells the configured table from every other: its name, region and endpoint, as far as they are
/// configured.
pub(super) fn table_name(config: &Config) -> String {
    let place = |place: &Option<String>| place.as_deref().unwrap_or("default").to_owned();
    format!("{} {} {}", config.table, place(&config.region), place(&config.endpoint_url))
}
