//! Writes records from the sockets to the spool by group commit.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::clock::{Clock, Steps};
use crate::observe::status::Status;
use crate::receive::arbiter::Arbiter;
use crate::spool::record::{ConnectionEvent, Payload, Record};
use crate::spool::{Spool, SpoolError};

/// Largest number of records in one write to the spool.
const AT_ONCE: usize = 1_024;

/// Makes records from the sockets durable by group commit: one fsync for all that arrived since the last.
///
/// Runs on a thread of its own, because fsync blocks. A record is durable at the latest `sync_every` after it was received,
/// plus the time that the fsync itself takes.
pub struct Intake {
    /// The spool that records are appended to.
    pub spool: Arc<Spool>,
    /// The daemon's clock, for the intake's own records.
    pub clock: Arc<Clock>,
    /// Counters of the daemon.
    pub status: Arc<Status>,
    /// Longest wait between a record's arrival and the fsync that covers it.
    pub sync_every: Duration,
}

impl Intake {
    /// Runs until every sender is dropped and what they sent is durable.
    ///
    /// # Errors
    ///
    /// Returns a [`SpoolError`] if the disk fails; the process must end.
    pub async fn run(self, mut records: mpsc::Receiver<Record>) -> Result<(), SpoolError> {
        self.spool.append(&[ConnectionEvent::Started.record(0, self.clock.now())])?;
        self.spool.sync()?;
        let mut synced = Instant::now();
        let mut buffer = Vec::with_capacity(AT_ONCE);
        let mut arbiter = Arbiter::default();
        let mut stopped = false;
        let mut steps = Steps::default();
        loop {
            if records.recv_many(&mut buffer, AT_ONCE).await == 0 {
                return Ok(());
            }
            // The first record waits no longer than until one interval after the last fsync; company is welcome till then.
            let due = synced + self.sync_every;
            let oldest = buffer.first().map(|record| record.received_at);
            self.note_steps(&mut steps)?;
            let mut appended = self.append(&mut buffer, &mut arbiter)?;
            while Instant::now() < due {
                let more = tokio::time::timeout_at(due, records.recv_many(&mut buffer, AT_ONCE)).await;
                if !matches!(more, Ok(1..)) {
                    break;
                }
                self.note_steps(&mut steps)?;
                appended += self.append(&mut buffer, &mut arbiter)?;
            }
            self.note_fill(&mut stopped)?;
            self.spool.sync()?;
            synced = Instant::now();
            self.status.durable.add(appended);
            if let Some(oldest) = oldest {
                self.status.sync_micros.set(self.clock.now().0.saturating_sub(oldest.0));
            }
        }
    }

    /// Returns how many data messages will be durable after the next sync: a copy that is left out counts, because the first
    /// one stands before it.
    fn append(&self, buffer: &mut Vec<Record>, arbiter: &mut Arbiter) -> Result<u64, SpoolError> {
        let count =
            buffer.iter().filter(|record| !matches!(record.payload, Payload::ConnectionEvent(_))).count() as u64;
        let before = buffer.len();
        buffer.retain(|record| match &record.payload {
            Payload::Text(text) => arbiter.is_first(text),
            Payload::Binary(_) | Payload::Refused(_) | Payload::ConnectionEvent(_) | Payload::Unreadable(_) => true,
        });
        self.status.duplicates.add((before - buffer.len()) as u64);
        let appended = self.spool.append(buffer)?;
        if let Some(first) = buffer.first() {
            self.status.backlog.note(appended.start, first.received_at.0);
        }
        buffer.clear();
        Ok(count)
    }

    /// Records that the machine's clock was set, before the first record whose time was taken afterwards: whoever took
    /// that time has counted the step.
    fn note_steps(&self, noted: &mut Steps) -> Result<(), SpoolError> {
        let steps = self.clock.steps();
        if steps.count == noted.count {
            return Ok(());
        }
        *noted = steps;
        self.status.clock_steps.add(1);
        tracing::warn!(by_us = steps.by, "the clock was set");
        self.spool.append(&[ConnectionEvent::ClockSet { by: steps.by }.record(0, self.clock.now())])?;
        Ok(())
    }

    /// Stops the intake while the spool is full, and records from when to when. Sockets stay closed meanwhile; the
    /// shipper makes room and lets them open again.
    fn note_fill(&self, stopped: &mut bool) -> Result<(), SpoolError> {
        if self.spool.is_full() && !self.status.intake_stopped.swap(true, Ordering::Relaxed) {
            tracing::error!(
                bytes = self.spool.bytes(),
                max_bytes = self.spool.max_bytes(),
                "spool is full, intake stops"
            );
            self.spool.append(&[ConnectionEvent::IntakeStopped.record(0, self.clock.now())])?;
            *stopped = true;
        } else if *stopped && !self.status.intake_stopped.load(Ordering::Relaxed) {
            tracing::info!(bytes = self.spool.bytes(), "spool has room again, intake resumed");
            self.spool.append(&[ConnectionEvent::IntakeResumed.record(0, self.clock.now())])?;
            *stopped = false;
        }
        Ok(())
    }
}
