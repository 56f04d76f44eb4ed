//! `backfill run`: migrates all segments and saves checkpoints.

use std::sync::{Arc, atomic::AtomicBool};

use aws_sdk_dynamodb::Client;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::apply::Writer;
use crate::args::{JobArgs, RunArgs};
use crate::channels::Channels;
use crate::checkpoint::{Book, State};
use crate::checkpoint_store::CheckpointStore;
use crate::error::Error;
use crate::examine::ItemClassifier;
use crate::index;
use crate::limit::CapacityLimiter;
use crate::migration::Migration;
use crate::progress::{Progress, StatusSink, Totals};
use crate::scan::{Reader, Source};
use crate::table_info::{Billing, TableInfo, describe, require_recovery};

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The table.
    pub table: String,
    /// Over all processes of the run.
    pub totals: Totals,
    /// Whether this process went on with the work of another.
    pub resumed: bool,
    /// Time of this process.
    pub seconds: f64,
    /// Where the rejects are.
    pub rejects_file: String,
    /// Channels that this process has entered into the table's list.
    pub channels: u64,
    /// Why some could not be entered.
    pub channels_problem: Option<String>,
}

impl Report {
    /// 0, or 3 where there are rejects.
    pub fn exit_code(&self) -> u8 {
        if self.totals.rejects == 0 { 0 } else { 3 }
    }
}

/// Migrates the table, or goes on with it.
///
/// # Errors
/// When a guard stands against it, the service refuses, patience ends, or it is interrupted. What is done is kept.
pub async fn run(
    client: &Client,
    args: &RunArgs,
    stop: &CancellationToken,
    status: StatusSink<'_>,
) -> Result<Report, Error> {
    let info = describe(client, &args.job, &args.scan, stop).await?;
    if !args.force {
        require_recovery(client, &args.job.table, args.scan.patience(), stop).await?;
    }
    let (max_wcu, max_rcu) = limits(args, &info)?;
    let info = index::ensure(client, info, &args.job, &args.scan, args.create_index, stop, status).await?;
    let classifier = ItemClassifier::new(&info, &args.job);
    let checkpoints = CheckpointStore::new(client, args, &classifier, stop);
    let (state, resumed) = begin(&checkpoints, args, &info).await?;
    let segments = state.positions.len();
    let progress = Progress::new(state.totals, info.items);
    if resumed {
        say(&progress, status, format!("going on after {} items", state.totals.items));
    }
    let book = Book::open(state, &args.rejects_file())?;
    if !resumed {
        // A place that cannot be written to is found out before anything is changed.
        checkpoints.save(&tokio::task::block_in_place(|| book.durable())?).await?;
    }
    let channels = Channels::new(client, &info.table, &classifier);
    let migration = Migration {
        source: Source::table(
            &info.table,
            classifier.attributes(),
            u32::try_from(segments).unwrap_or(u32::MAX),
            &args.scan,
        ),
        reader: Reader {
            client: client.clone(),
            limiter: Arc::new(CapacityLimiter::new(max_rcu, info.page_units(args.scan.page_items))),
            patience: args.scan.patience(),
            stop: stop.clone(),
        },
        writer: writer(client, args, &info, classifier, max_wcu, stop),
        book,
        channels,
    };
    let outcome = migration.drive(segments, &checkpoints, progress, status).await;
    let report = finish(outcome, &migration.book, &checkpoints, args, resumed).await?;
    let (channels, channels_problem) = migration.channels.outcome();
    Ok(Report { channels, channels_problem, ..report })
}

/// The last checkpoint of this process, and the report where all is done.
async fn finish(
    outcome: Result<f64, Error>,
    book: &Book,
    checkpoints: &CheckpointStore<'_>,
    args: &RunArgs,
    resumed: bool,
) -> Result<Report, Error> {
    let state = book.durable()?;
    let seconds = match outcome {
        Ok(seconds) => seconds,
        Err(error) => {
            checkpoints.save(&state).await?;
            return Err(error);
        }
    };
    checkpoints.remove().await?;
    let rejects_file = args.rejects_file().display().to_string();
    let (channels, channels_problem) = (0, None);
    let table = args.job.table.clone();
    Ok(Report { table, totals: state.totals, resumed, seconds, rejects_file, channels, channels_problem })
}

fn say(progress: &Progress, status: StatusSink<'_>, text: String) {
    if let Some(line) = progress.say(&text) {
        status(line);
    }
}

/// Write and read units a second that the arguments allow.
fn limits(args: &RunArgs, info: &TableInfo) -> Result<(Option<f64>, Option<f64>), Error> {
    let Some(share) = args.share else { return Ok((args.max_wcu, args.scan.max_rcu)) };
    let Billing::Provisioned { read, write, index_write } = info.billing else {
        return Err(Error::Guard(
            "--share needs provisioned capacity; the table is on demand: give --max-wcu".to_owned(),
        ));
    };
    // Each update takes as much of the index as of the table, so the smaller of the two bounds both.
    let writes = index_write.map_or(write, |index| 2.0 * index.min(write));
    Ok((Some(writes * share / 100.0), Some(args.scan.max_rcu.unwrap_or(read * share / 100.0))))
}

fn writer(
    client: &Client,
    args: &RunArgs,
    info: &TableInfo,
    classifier: ItemClassifier,
    max_wcu: Option<f64>,
    stop: &CancellationToken,
) -> Writer {
    let per_update = if info.index.is_some() { 2.0 } else { 1.0 };
    Writer {
        client: client.clone(),
        table: info.table.clone(),
        classifier,
        limiter: CapacityLimiter::new(max_wcu, per_update),
        calls: Semaphore::new(usize::try_from(args.concurrency).unwrap_or(1)),
        patience: args.scan.patience(),
        single: AtomicBool::new(args.update_item),
        stop: stop.clone(),
    }
}

/// What a run is about; a checkpoint with another one is refused.
fn fingerprint(job: &JobArgs, info: &TableInfo) -> Value {
    json!({
        "table": info.table, "table_id": info.identity, "from_attribute": job.from_attribute,
        "to_attribute": job.to_attribute, "to_type": format!("{:?}", job.to_type),
        "accept_seconds": job.accept_seconds, "accept_ms": job.accept_ms,
        "accept_spaces": job.accept_spaces, "accept_exponent": job.accept_exponent,
    })
}

async fn begin(checkpoints: &CheckpointStore<'_>, args: &RunArgs, info: &TableInfo) -> Result<(State, bool), Error> {
    let job = fingerprint(&args.job, info);
    let fresh = || State::new(job.clone(), info.segments(&args.scan));
    let found = if args.restart { None } else { checkpoints.load().await? };
    let Some(text) = found else { return Ok((fresh(), false)) };
    let problem = |problem| Error::Checkpoint { place: checkpoints.name(), problem };
    let state = State::from_json(&text, &job).map_err(problem)?;
    match args.scan.segments {
        Some(segments) if usize::try_from(segments).ok() != Some(state.positions.len()) => {
            Err(problem(format!("it has {} segments, --segments says {segments}", state.positions.len())))
        }
        _ => Ok((state, true)),
    }
}
