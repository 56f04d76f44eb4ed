//! Ships records from the spool to the table.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::storage::Storages;
use crate::ledger::gap_queue::GapQueue;
use crate::ledger::{self, Ledger, LedgerInput};
use crate::observe::status::{Component, Status};
use crate::ship::blocks::BlockStage;
use crate::ship::conflict::Conflicts;
use crate::ship::standby::Standby;
use crate::ship::window::Window;
use crate::spool::{Spool, SpoolError};
use crate::store::batch::{Batch, BatchEntry};
use crate::store::writer::{Outcome, Writer};

mod collect;
mod gather;
mod read;
mod settle;

use crate::ship::event_clock::ClockWatch;
use crate::ship::in_flight::InFlight;
use crate::ship::late::LateTrades;
use crate::ship::parked::Parked;

/// Ships records from the spool to the table: reads, decodes, batches, writes and acknowledges them.
pub struct Shipper {
    spool: Arc<Spool>,
    writer: Writer,
    status: Arc<Status>,
    linger: Duration,
    /// Name of the daemon that items carry.
    origin: Option<String>,
    durable: watch::Receiver<u64>,
    window: Window,
    ledger: Ledger,
    /// Channels with newly written gaps, for the gap filler.
    gap_queue: Arc<GapQueue>,
    /// Ledger inputs by sequence, until the position passes them.
    inputs: VecDeque<(u64, LedgerInput)>,
    in_flight: InFlight,
    clock: ClockWatch,
    conflicts: Conflicts,
    /// Decides on records while another daemon holds the lease; `None` if daemons do not write in turn.
    standby: Option<Standby>,
    /// Trades that are in the table, possibly twice.
    late: LateTrades,
    /// Records that another daemon may have captured.
    parked: Parked,
    /// True if parked records are to be decided on.
    unpark_due: bool,
    blocks: BlockStage,
    batch: Batch,
    /// When the batch is sent, full or not.
    due: Option<Instant>,
    /// Batches that wait for a writer; at most one round of them, which bounds memory.
    ready: VecDeque<Vec<BatchEntry>>,
    writes: FuturesUnordered<Pin<Box<dyn Future<Output = Outcome> + Send>>>,
}

impl Shipper {
    /// Puts a name of the daemon into the items, beside the connection.
    #[must_use]
    pub fn with_origin(self, origin: Option<String>) -> Shipper {
        Shipper { origin, ..self }
    }

    /// Stores the events of some channels in blocks.
    #[must_use]
    pub fn with_blocks(self, blocks: BlockStage) -> Shipper {
        Shipper { blocks, ..self }
    }

    /// Creates a shipper that continues at the spool's position.
    #[must_use]
    pub fn new(
        spool: Arc<Spool>,
        writer: Writer,
        status: Arc<Status>,
        linger: Duration,
        ledger: Ledger,
        gap_queue: Arc<GapQueue>,
        standby: Option<Standby>,
    ) -> Shipper {
        let durable = spool.durable();
        let window = Window::new(spool.position());
        let blocks = BlockStage::new(Storages::default(), Duration::ZERO, spool.daemon().to_owned());
        Shipper {
            spool,
            writer,
            status,
            linger,
            origin: None,
            durable,
            window,
            ledger,
            gap_queue,
            inputs: VecDeque::new(),
            in_flight: InFlight::default(),
            clock: ClockWatch::default(),
            conflicts: Conflicts::default(),
            standby,
            late: LateTrades::default(),
            parked: Parked::default(),
            unpark_due: false,
            blocks,
            batch: Batch::default(),
            due: None,
            ready: VecDeque::new(),
            writes: FuturesUnordered::new(),
        }
    }

    /// Runs until `finish` is cancelled and everything in the spool is settled. The caller stops the intake first. To
    /// stop without draining, the caller drops this future, which loses nothing.
    ///
    /// # Errors
    ///
    /// Returns a [`SpoolError`] if the disk fails; the process must end.
    pub async fn run(mut self, finish: CancellationToken) -> Result<(), SpoolError> {
        self.write_ledger_entries();
        self.recover_blocks()?;
        loop {
            self.start_writes();
            self.late.start(&self.writer, &self.status);
            if std::mem::take(&mut self.unpark_due) {
                self.unpark_due = self.unpark().await?;
                self.start_writes();
            }
            self.close_blocks(finish.is_cancelled())?;
            let may_read = self.may_read();
            let behind = self.window.next() < *self.durable.borrow_and_update();
            if may_read && behind {
                self.read().await?;
                self.start_writes();
                // What is complete is settled between two reads, not after the backlog.
                while let Some(Some(outcome)) = self.writes.next().now_or_never() {
                    self.settle(outcome)?;
                }
                while let Some(Some(outcome)) = self.late.next().now_or_never() {
                    self.settle_whole(outcome)?;
                }
                tokio::task::yield_now().await;
                continue;
            }
            let settled = self.in_flight.is_empty() && self.blocks.is_idle() && self.ledger.outbox().is_empty();
            // What waits for another daemon's entry is decided after the next start.
            if finish.is_cancelled() && settled {
                return Ok(());
            }
            let (due, block_due) = (self.due, self.blocks.due());
            tokio::select! {
                Some(outcome) = self.writes.next(), if !self.writes.is_empty() => self.settle(outcome)?,
                Some(outcome) = self.late.next(), if !self.late.is_idle() => self.settle_whole(outcome)?,
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.send_batch(),
                () = tokio::time::sleep_until(block_due.unwrap_or_else(Instant::now)), if block_due.is_some() => {}
                Ok(()) = self.durable.changed(), if may_read => {}
                () = Standby::pause(self.standby.as_mut()), if !self.parked.is_empty() => self.unpark_due = true,
                () = finish.cancelled(), if settled || self.blocks.has_open() => {}
            }
        }
    }

    /// Takes the ledger's new entries and writes them.
    fn write_ledger_entries(&mut self) {
        for entry in self.ledger.take() {
            if let ledger::LedgerEntry::Interval(record) = &entry {
                self.status.entered(record);
            }
            let first = matches!(entry, ledger::LedgerEntry::Channel(..));
            let entry = BatchEntry::from(entry);
            if first {
                let writer = self.writer.clone();
                self.writes
                    .push(Box::pin(async move { writer.insert_if_absent(entry, Component::Channels).await.into() }));
            } else {
                self.add(entry);
            }
        }
    }

    /// Starts as many writes as may run at once. Entries of the channel list wait for a permission of their own
    /// (PutItem), and take no batch's place meanwhile.
    fn start_writes(&mut self) {
        let registering = self.ledger.registering();
        while self.writes.len() < self.writer.writers() + registering {
            let Some(entries) = self.ready.pop_front() else { return };
            let writer = self.writer.clone();
            self.writes.push(Box::pin(async move { writer.write(entries).await }));
        }
    }
}
