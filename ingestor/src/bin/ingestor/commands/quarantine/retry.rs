//! `ingestor quarantine retry`: writes the entries to the table, through the code that the daemon uses.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

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

use crate::commands::{CommandError, progress};

/// Number of entries read and written at once; bounds memory.
const AT_ONCE: usize = 400;
/// Time without an accepted or refused entry after which a retry gives up.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn retry(spool: &Spool, config: &Config, out: &mut dyn Write) -> anyhow::Result<u8> {
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
