use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::arbitrate::Arbiter;
use crate::clock::Clock;
use crate::spool::record::{Content, Record, Story};
use crate::spool::{Spool, SpoolError};
use crate::status::Status;

/// At most so many records in one write to the spool.
const AT_ONCE: usize = 1_024;

/// Takes records from the sockets and makes them durable: group commit, one fsync for all that came since the last.
///
/// Runs on a thread of its own, because fsync blocks. A record is durable at the latest `sync_every` after it was received,
/// plus the time that the fsync itself takes.
pub struct Intake {
    /// Where records go.
    pub spool: Arc<Spool>,
    /// Where times for the intake's own records come from.
    pub clock: Arc<Clock>,
    /// Where it counts.
    pub status: Arc<Status>,
    /// The longest wait for company.
    pub sync_every: Duration,
}

impl Intake {
    /// Runs until every sender is gone and what they sent is durable.
    ///
    /// # Errors
    ///
    /// [`SpoolError`]: final, the process must end.
    pub async fn run(self, mut records: mpsc::Receiver<Record>) -> Result<(), SpoolError> {
        self.spool.append(&[Story::Started.record(0, self.clock.now())])?;
        self.spool.sync()?;
        let mut synced = Instant::now();
        let mut buffer = Vec::with_capacity(AT_ONCE);
        let mut arbiter = Arbiter::default();
        let mut stopped = false;
        loop {
            if records.recv_many(&mut buffer, AT_ONCE).await == 0 {
                return Ok(());
            }
            // The first record waits no longer than until one interval after the last fsync; company is welcome till then.
            let due = synced + self.sync_every;
            let oldest = buffer.first().map(|record| record.received_at);
            let mut appended = self.append(&mut buffer, &mut arbiter)?;
            while Instant::now() < due {
                let more = tokio::time::timeout_at(due, records.recv_many(&mut buffer, AT_ONCE)).await;
                if !matches!(more, Ok(1..)) {
                    break;
                }
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
        let count = buffer.iter().filter(|record| !matches!(record.content, Content::Story(_))).count() as u64;
        let before = buffer.len();
        buffer.retain(|record| match &record.content {
            Content::Text(text) => arbiter.is_first(text),
            Content::Binary(_) | Content::Refused(_) | Content::Story(_) => true,
        });
        self.status.duplicates.add((before - buffer.len()) as u64);
        self.spool.append(buffer)?;
        buffer.clear();
        Ok(count)
    }

    /// While intake is stopped sockets stay closed; the shipper makes room and lets them open again. The spool itself says
    /// from when to when.
    fn note_fill(&self, stopped: &mut bool) -> Result<(), SpoolError> {
        if self.spool.is_full() && !self.status.intake_stopped.swap(true, Ordering::Relaxed) {
            tracing::error!(
                bytes = self.spool.bytes(),
                max_bytes = self.spool.max_bytes(),
                "spool is full, intake stops"
            );
            self.spool.append(&[Story::IntakeStopped.record(0, self.clock.now())])?;
            *stopped = true;
        } else if *stopped && !self.status.intake_stopped.load(Ordering::Relaxed) {
            tracing::info!(bytes = self.spool.bytes(), "spool has room again, intake resumed");
            self.spool.append(&[Story::IntakeResumed.record(0, self.clock.now())])?;
            *stopped = false;
        }
        Ok(())
    }
}
