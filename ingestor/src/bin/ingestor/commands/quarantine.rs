//! `ingestor quarantine`: lists, exports and retries what could not be stored.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use ingestor::config::Config;
use ingestor::observe::status::{Component, Status};
use ingestor::ship::{conflict, decode};
use ingestor::spool::quarantine::{Quarantine, QuarantineEntry};
use ingestor::spool::{Spool, SpoolError};
use ingestor::store::batch::{self, Batch};
use ingestor::store::keeping::Keeping;
use ingestor::store::table;
use ingestor::store::twins::{self, Copies};
use ingestor::store::writer::{Outcome, Writer};
use tokio::sync::watch;

use super::spool::into_file;
use ingestor::spool::line;

use super::{CommandError, EXIT_DISK, moment, open_spool, progress};

/// Number of entries read and written at once; bounds memory.
const AT_ONCE: usize = 400;
/// Time without an accepted or refused entry after which a retry gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Length of a record in the list, in characters.
const SHOWN: usize = 80;

const EXAMPLES: &str = "\
Examples:
  ingestor quarantine list
  ingestor quarantine export --to quarantine.ndjson
  ingestor quarantine retry --region eu-central-1      after an upgrade that can store what was refused

The daemon must be stopped: it locks its spool. While it runs, `ingestor status` shows how many there are.
Exit codes: 0 done, and after a retry nothing is left; 1 some stay; 69 the store cannot be reached; 74 the disk fails or an
entry is damaged; 75 in use; 78 there is no such spool, or the table is wrong.";

pub(super) fn command() -> Command {
    let to = Arg::new("to").long("to").value_name("FILE").value_parser(value_parser!(PathBuf));
    Command::new("quarantine")
        .about("What could not be stored: lists it, exports it, puts it into the table after a fix")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(EXAMPLES)
        .subcommand(
            Command::new("list")
                .about("One line each: sequence, received, reason, beginning; parted by tabs")
                .after_help(EXAMPLES),
        )
        .subcommand(
            Command::new("export")
                .about("Writes the entries with their reasons as lines of JSON; leaves them where they are")
                .after_help(EXAMPLES)
                .arg(to.help("Into a file, which appears when it is complete [default: standard output]")),
        )
        .subcommand(
            Command::new("retry")
                .about("Writes each entry to the table as the daemon would now; what is stored leaves the quarantine")
                .after_help(EXAMPLES),
        )
}

pub(super) async fn run(what: &str, matches: &ArgMatches, config: &Config, out: &mut dyn Write) -> anyhow::Result<u8> {
    let spool = open_spool(config)?;
    match what {
        "list" => list(spool.quarantine(), out),
        "retry" => retry(&spool, config, out).await,
        _ => match matches.get_one::<PathBuf>("to") {
            Some(path) => into_file(path, |file| export(spool.quarantine(), file)),
            None => export(spool.quarantine(), out),
        },
    }
}

fn list(quarantine: &Quarantine, out: &mut dyn Write) -> anyhow::Result<u8> {
    each(quarantine, |QuarantineEntry { sequence, reason, record }| {
        let reason = reason.replace(char::is_control, " ");
        let (received, beginning) = (moment(record.received_at), line::beginning(&record, SHOWN));
        writeln!(out, "{sequence}\t{received}\t{reason}\t{beginning}")
    })
}

fn export(quarantine: &Quarantine, out: &mut dyn Write) -> anyhow::Result<u8> {
    each(quarantine, |entry| line::write(out, entry.sequence, &entry.record, Some(&entry.reason)))
}

/// Passes every readable entry to `write` and logs those that are damaged.
fn each(quarantine: &Quarantine, mut write: impl FnMut(QuarantineEntry) -> std::io::Result<()>) -> anyhow::Result<u8> {
    let mut code = 0;
    for read in quarantine.entries() {
        match read {
            Ok(entry) => write(entry)?,
            Err(error @ SpoolError::Damaged { .. }) => {
                tracing::error!(%error, "an entry of the quarantine is left out");
                code = EXIT_DISK;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(code)
}

async fn retry(spool: &Spool, config: &Config, out: &mut dyn Write) -> anyhow::Result<u8> {
    let quarantine = spool.quarantine();
    if quarantine.count() == 0 {
        writeln!(out, "the quarantine is empty")?;
        return Ok(0);
    }
    let client = table::connect(config).await;
    table::check(&client, &config.table).await?;
    let status = Arc::new(Status::default());
    let keeps = Keeping::new(client.clone(), config).read().await.map_err(CommandError::Store)?;
    let (_, keeps) = watch::channel(Some(Arc::new(keeps)));
    let writer = Writer::new(client, config.table.clone(), config.writers, config.request_timeout, status.clone())
        .with_keeps(keeps);
    let mut retry = Retry { quarantine, writer, status, stored: 0, needless: 0, refused: 0 };
    let ran = retry.run().await;
    let (stored, needless) = (retry.stored, retry.needless);
    let left = quarantine.count();
    writeln!(out, "{stored} stored, {needless} with nothing to store, {left} stay ({} refused again)", retry.refused)?;
    if let Err(reason) = ran? {
        writeln!(out, "ended early: {reason}")?;
    }
    if left > 0 {
        writeln!(out, "`ingestor quarantine list` shows them with their reasons")?;
    }
    Ok(u8::from(left > 0))
}

/// Writes entries of the quarantine to the table, through the code that the daemon uses.
struct Retry<'spool> {
    quarantine: &'spool Quarantine,
    writer: Writer,
    status: Arc<Status>,
    stored: u64,
    /// Number of entries with nothing to store, e.g. control messages that an earlier version did not know.
    needless: u64,
    refused: u64,
}

impl Retry<'_> {
    /// Goes through all entries once. Returns `Ok(Err)` with the reason if it gave up before the end.
    async fn run(&mut self) -> anyhow::Result<Result<(), String>> {
        let bar = progress("entries tried:");
        let mut entries = self.quarantine.entries();
        loop {
            let (mut part, mut read_any) = (Vec::new(), false);
            for read in entries.by_ref().take(AT_ONCE) {
                read_any = true;
                match read {
                    Ok(entry) => part.push(entry),
                    Err(error @ SpoolError::Damaged { .. }) => tracing::error!(%error, "an entry cannot be tried"),
                    Err(error) => return Err(error.into()),
                }
                bar.inc(1);
            }
            if !read_any {
                break;
            }
            if let Err(reason) = self.part(part).await? {
                return Ok(Err(reason));
            }
        }
        bar.finish_and_clear();
        Ok(Ok(()))
    }

    async fn part(&mut self, entries: Vec<QuarantineEntry>) -> Result<Result<(), String>, SpoolError> {
        let mut batches = Batches::default();
        let (mut needless, mut refused) = (BTreeSet::new(), Vec::new());
        for entry in &entries {
            match decode::entry_of(entry.sequence, &entry.record) {
                // It would overwrite the other one.
                Ok(Some(_)) if entry.reason == conflict::REASON => refused.push(entry.clone()),
                Ok(Some(item)) => batches.add(item),
                Ok(None) => {
                    needless.insert(entry.sequence);
                }
                Err(reason) => refused.push(QuarantineEntry { reason, ..entry.clone() }),
            }
        }
        self.quarantine.remove(&needless)?;
        self.needless += needless.len() as u64;
        self.refuse(&refused)?;
        // A handle: the counts are changed while it writes.
        let writer = &self.writer.clone();
        let mut writes: FuturesUnordered<_> = batches.finish().into_iter().map(|batch| writer.write(batch)).collect();
        loop {
            let outcome = match tokio::time::timeout(PATIENCE, writes.next()).await {
                Ok(Some(outcome)) => without_twins(writer, outcome).await,
                Ok(None) => return Ok(Ok(())),
                Err(_) => break,
            };
            let (stored, refused) = settled(outcome, &entries);
            self.quarantine.remove(&stored)?;
            self.stored += stored.len() as u64;
            self.refuse(&refused)?;
        }
        let trouble = self.status.trouble().remove(&Component::Table);
        let trouble = trouble.unwrap_or_else(|| "the table is throttled".to_owned());
        Ok(Err(format!("nothing was accepted for {} s: {trouble}", PATIENCE.as_secs())))
    }

    fn refuse(&mut self, refused: &[QuarantineEntry]) -> Result<(), SpoolError> {
        self.refused += refused.len() as u64;
        self.quarantine.put(refused)
    }
}

/// Removes the fetched copies of the trades just written: they are late, so the exchange's history may have been asked
/// for them meanwhile.
async fn without_twins(writer: &Writer, mut outcome: Outcome) -> Outcome {
    let stored = writer.reader();
    for entry in std::mem::take(&mut outcome.stored) {
        let removed = match twins::trade(&entry) {
            Some((channel, id)) => twins::remove(&stored, channel, id).await,
            None => Ok(Copies::default()),
        };
        match removed {
            Ok(_) => outcome.stored.push(entry),
            Err(error) => {
                outcome.refused.push((entry, format!("it may be in the table a second time, as fetched: {error}")));
            }
        }
    }
    outcome
}

fn settled(outcome: Outcome, entries: &[QuarantineEntry]) -> (BTreeSet<u64>, Vec<QuarantineEntry>) {
    let stored = outcome.stored.into_iter().flat_map(|entry| entry.sequences).collect();
    let mut refused = Vec::new();
    for (entry, reason) in outcome.refused {
        let kept = entries.iter().filter(|kept| entry.sequences.contains(&kept.sequence));
        refused.extend(kept.map(|kept| QuarantineEntry { reason: reason.clone(), ..kept.clone() }));
    }
    (stored, refused)
}

/// Full batches and the one that is being filled.
#[derive(Default)]
struct Batches {
    full: Vec<Vec<batch::BatchEntry>>,
    open: Batch,
}

impl Batches {
    fn add(&mut self, entry: batch::BatchEntry) {
        if let Err(entry) = self.open.add(entry) {
            self.full.push(self.open.take());
            self.open.add(*entry).expect("an empty batch takes any entry");
        }
    }

    fn finish(mut self) -> Vec<Vec<batch::BatchEntry>> {
        self.full.push(self.open.take());
        self.full.retain(|batch| !batch.is_empty());
        self.full
    }
}
