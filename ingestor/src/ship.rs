use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use shared::channel::Channel;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::batch::{Batch, Entry};
use crate::build::{Built, build};
use crate::ledger::{self, Ledger, Mark};
use crate::missed::Missed;
use crate::spool::quarantine::Entry as Quarantined;
use crate::spool::{Spool, SpoolError};
use crate::standby::{Standby, Word};
use crate::status::{Part, Status};
use crate::window::Window;
use crate::writer::{Outcome, Writer};

/// The records under way.
mod open;

use crate::ship::open::Open;

/// Records read at once ...
const READ_RECORDS: usize = 500;
/// ... and bytes, so that memory stays the same for large frames.
const READ_BYTES: usize = 1 << 20;
/// Records that may be under way, read and not settled, however long the oldest of them takes.
const WINDOW: usize = 8_000;
/// Bytes of frames that may be under way.
const WINDOW_BYTES: usize = 4 << 20;

/// Takes records from the spool into the table: parse, item, batch, write, acknowledge.
pub struct Shipper {
    spool: Arc<Spool>,
    writer: Writer,
    status: Arc<Status>,
    linger: Duration,
    durable: watch::Receiver<u64>,
    window: Window,
    ledger: Ledger,
    /// Channels with a gap that is in the table, for whoever fills it.
    missed: Arc<Missed>,
    /// What records mean for the ledger, by sequence, until the position passes them.
    marks: VecDeque<(u64, Mark)>,
    open: Open,
    /// Where several daemons take turns.
    standby: Option<Standby>,
    batch: Batch,
    /// When the batch must go, full or not.
    due: Option<Instant>,
    /// Batches that wait for their turn; no more than one round of them, so that memory stays the same.
    ready: VecDeque<Vec<Entry>>,
    writes: FuturesUnordered<Pin<Box<dyn Future<Output = Outcome> + Send>>>,
}

impl Shipper {
    /// A shipper that goes on at the spool's position.
    #[must_use]
    pub fn new(
        spool: Arc<Spool>,
        writer: Writer,
        status: Arc<Status>,
        linger: Duration,
        ledger: Ledger,
        missed: Arc<Missed>,
        standby: Option<Standby>,
    ) -> Shipper {
        let durable = spool.durable();
        let window = Window::new(*spool.position().borrow());
        Shipper {
            spool,
            writer,
            status,
            linger,
            durable,
            window,
            ledger,
            missed,
            marks: VecDeque::new(),
            open: Open::default(),
            standby,
            batch: Batch::default(),
            due: None,
            ready: VecDeque::new(),
            writes: FuturesUnordered::new(),
        }
    }

    /// Runs until `finish` is cancelled and everything in the spool is settled. The caller stops the intake first; to stop
    /// without draining it drops this future, which loses nothing.
    ///
    /// # Errors
    ///
    /// [`SpoolError`]: final, the process must end.
    pub async fn run(mut self, finish: CancellationToken) -> Result<(), SpoolError> {
        self.add_ledger();
        loop {
            self.start_writes();
            let may_read = self.ready.is_empty() && self.window.len() < WINDOW && self.open.bytes() < WINDOW_BYTES;
            let behind = self.window.next() < *self.durable.borrow_and_update();
            let mut waits = false;
            if may_read && behind {
                waits = !self.read().await?;
                self.start_writes();
                // What is complete is settled between two reads, not after the backlog.
                while let Some(Some(outcome)) = self.writes.next().now_or_never() {
                    self.settle(outcome)?;
                }
                if !waits {
                    tokio::task::yield_now().await;
                    continue;
                }
            }
            let settled = self.window.is_empty() && self.ledger.outbox().is_empty();
            // What waits for another daemon's word is decided after the next start.
            if finish.is_cancelled() && (!behind || waits) && settled {
                return Ok(());
            }
            let due = self.due;
            tokio::select! {
                Some(outcome) = self.writes.next(), if !self.writes.is_empty() => self.settle(outcome)?,
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.send_batch(),
                Ok(()) = self.durable.changed(), if may_read && !waits => {}
                () = Standby::pause(self.standby.as_mut()), if waits => {}
                () = finish.cancelled(), if settled => {}
            }
        }
    }

    /// Reads on. Whether there may be more to read at once: not where the next record waits for another daemon's word.
    async fn read(&mut self) -> Result<bool, SpoolError> {
        let from = self.window.next();
        let records = tokio::task::block_in_place(|| self.spool.read(from, READ_RECORDS, READ_BYTES))?;
        let (mut done, mut refused, mut waits) = (Vec::new(), Vec::new(), false);
        for (sequence, record) in records {
            let built = build(&record);
            let word = self.word(&built).await;
            if word == Word::Wait {
                waits = true;
                break;
            }
            self.window.read(sequence);
            match built {
                Built::Nothing => done.push(sequence),
                Built::Story(mark) => {
                    self.marks.push_back((sequence, *mark));
                    done.push(sequence);
                }
                Built::Refused(reason) => refused.push(Quarantined { sequence, reason, record }),
                Built::Entry(entry, mark, _) if word == Word::Skip => {
                    self.status.newest_stored.raise(entry.time.0);
                    self.marks.push_back((sequence, mark));
                    self.status.skipped.add(1);
                    done.push(sequence);
                }
                Built::Entry(mut entry, mark, price) => {
                    self.marks.push_back((sequence, mark));
                    self.status.event(&entry.channel, price.as_deref());
                    entry.sequences.push(sequence);
                    self.open.insert(sequence, record);
                    self.add(*entry);
                }
            }
        }
        self.quarantine(&refused)?;
        done.extend(refused.iter().map(|entry| entry.sequence));
        self.acknowledge(&done)?;
        Ok(!waits)
    }

    /// What is to be done with a record while another daemon may be the one that writes.
    async fn word(&mut self, built: &Built) -> Word {
        match (&mut self.standby, built) {
            (Some(standby), Built::Entry(entry, ..)) if !standby.leads() => {
                standby.word(&entry.channel, entry.time).await
            }
            _ => Word::Write,
        }
    }

    fn add(&mut self, entry: Entry) {
        if let Err(entry) = self.batch.add(entry) {
            self.send_batch();
            self.batch.add(*entry).expect("an empty batch takes any entry");
        }
        if self.batch.is_full() {
            self.send_batch();
        } else {
            self.due.get_or_insert_with(|| Instant::now() + self.linger);
        }
    }

    fn send_batch(&mut self) {
        self.due = None;
        let entries = self.batch.take();
        if !entries.is_empty() {
            self.ready.push_back(entries);
        }
    }

    /// What the ledger wants written.
    fn add_ledger(&mut self) {
        for entry in self.ledger.take() {
            if let ledger::Entry::Stretch(record) = &entry {
                self.status.entered(record);
            }
            let first = matches!(entry, ledger::Entry::Channel(..));
            let entry = Entry::from(entry);
            if first {
                let writer = self.writer.clone();
                self.writes.push(Box::pin(async move { writer.write_first(entry, Part::Channels).await.into() }));
            } else {
                self.add(entry);
            }
        }
    }

    fn start_writes(&mut self) {
        while self.writes.len() < self.writer.writers() {
            let Some(entries) = self.ready.pop_front() else { return };
            let writer = self.writer.clone();
            self.writes.push(Box::pin(async move { writer.write(entries).await }));
        }
    }

    fn settle(&mut self, outcome: Outcome) -> Result<(), SpoolError> {
        let mut done = Vec::new();
        for entry in outcome.stored {
            match &entry.ledger {
                Some(entry) => {
                    if let Some(channel) = entry.gap() {
                        self.missed.add(Channel::from_frame(channel.to_owned()));
                    }
                    self.ledger.settle(entry);
                }
                None => self.status.stored(&entry.channel, entry.time),
            }
            for sequence in &entry.sequences {
                self.open.remove(*sequence);
            }
            done.extend(entry.sequences);
        }
        let mut refused = Vec::new();
        for (entry, reason) in outcome.refused {
            if let Some(entry) = &entry.ledger {
                tracing::error!(?entry, reason, "the table refuses an entry of the ledger");
                self.ledger.settle(entry);
            }
            for sequence in entry.sequences {
                if let Some(record) = self.open.remove(sequence) {
                    refused.push(Quarantined { sequence, reason: reason.clone(), record });
                }
                done.push(sequence);
            }
        }
        self.quarantine(&refused)?;
        self.acknowledge(&done)
    }

    fn quarantine(&self, entries: &[Quarantined]) -> Result<(), SpoolError> {
        if entries.is_empty() {
            return Ok(());
        }
        for entry in entries {
            tracing::warn!(sequence = entry.sequence, reason = entry.reason, "record goes to the quarantine");
        }
        self.status.quarantined.add(entries.len() as u64);
        tokio::task::block_in_place(|| self.spool.quarantine().put(entries))
    }

    fn acknowledge(&mut self, sequences: &[u64]) -> Result<(), SpoolError> {
        for sequence in sequences {
            self.window.settle(*sequence);
        }
        let position = self.window.position();
        while let Some((_, mark)) = self.marks.pop_front_if(|(sequence, _)| *sequence < position) {
            self.ledger.apply(mark);
        }
        let saved = self.ledger.save();
        tokio::task::block_in_place(|| self.spool.acknowledge(position, saved.as_deref()))?;
        self.add_ledger();
        if self.status.intake_stopped.load(Ordering::Relaxed) && self.spool.has_room() {
            self.status.intake_stopped.store(false, Ordering::Relaxed);
        }
        Ok(())
    }
}
