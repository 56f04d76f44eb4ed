//! The queue on disk between the sockets and the table.
//!
//! Records come from the intake, which appends and fsyncs them, and leave to the shipper, which acknowledges them once they are in the table or
//! in the quarantine.
//!
//! # Format (version 1, a fjall database)
//!
//! - keyspaces `segment-<first sequence, 20 digits>`: key = sequence (u64, big endian), value = [`crate::spool::record`]; sequences rise by
//!   one across segments, without a gap;
//! - keyspace `meta`: `format` = 1; `position` = the first sequence that is not settled; `clock` = the latest received time;
//!   `bytes-<segment>` = what a full segment holds; `daemon` = whose it is; `ledger` = [`crate::ledger`] as of the position;
//! - keyspace `quarantine`: [`crate::spool::quarantine`];
//! - keyspace `blocks`: [`crate::spool::blocks`].
//!
//! # What happens
//!
//! - write: records are appended to the newest segment and count as received once [`crate::spool::Spool::sync`] returned (the journal is
//!   fsynced); a full segment is followed by a new one, never edited;
//! - read: from any sequence up to the last durable one;
//! - acknowledge: the position moves; a full segment wholly below it is deleted whole, which gives its space back at once
//!   (removing record by record does not: measured, 1 GB stayed);
//! - open: the position may lag behind what was written to the table, because it is not fsynced by itself; what is read again
//!   is written again under the same keys, which changes nothing.
//!
//! A torn tail of the journal is cut by fjall on open; it holds only records that [`crate::spool::Spool::sync`] had not confirmed. Any
//! failed write or fsync is final: the process ends and recovers by opening again.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fjall::{Database, Keyspace, PersistMode};
use shared::time::Micros;
use tokio::sync::watch;

use crate::spool::blocks::KeptBlocks;
use crate::spool::occupancy::Occupancy;
use crate::spool::quarantine::Quarantine;
use crate::spool::record::Record;
use crate::spool::segment::Segments;

pub mod blocks;
mod error;
pub mod line;
mod meta;
mod occupancy;
mod open;
mod overflow;
pub mod quarantine;
pub mod record;
pub mod segment;
mod walk;

pub use crate::spool::error::SpoolError;

/// The spool: a queue on disk. One intake appends and syncs; one shipper reads and acknowledges.
pub struct Spool {
    database: Database,
    meta: Keyspace,
    quarantine: Quarantine,
    /// The segments; locked during a write to the disk.
    segments: Mutex<Segments>,
    /// Blocks that may not be in the table yet; locked during a write to the disk.
    blocks: Mutex<KeptBlocks>,
    occupancy: Occupancy,
    max_bytes: u64,
    /// First sequence that is not durable yet.
    durable: watch::Sender<u64>,
    /// First sequence that is not settled yet.
    position: AtomicU64,
    clock: Mutex<Micros>,
    daemon: String,
}

impl Spool {
    /// Appends records and returns their sequences. They are durable after the next [`Spool::sync`].
    ///
    /// # Errors
    ///
    /// Returns [`SpoolError::Storage`] if the disk fails; the process must end.
    pub fn append(&self, records: &[Record]) -> Result<Range<u64>, SpoolError> {
        if let Some(latest) = records.iter().map(|record| record.received_at).max() {
            let mut clock = lock(&self.clock);
            *clock = latest.max(*clock);
        }
        let mut segments = lock(&self.segments);
        let appended = segments.append(&self.database, &self.meta, records)?;
        self.occupancy.note(&segments);
        Ok(appended)
    }

    /// Makes everything appended so far durable.
    ///
    /// # Errors
    ///
    /// Returns [`SpoolError::Storage`] if fsync fails; the process must end, because nobody knows what is on the disk.
    pub fn sync(&self) -> Result<(), SpoolError> {
        let next = lock(&self.segments).next();
        self.database.persist(PersistMode::SyncData).map_err(storage("syncing"))?;
        self.durable.send_replace(next);
        Ok(())
    }

    /// Returns the first sequence that is not durable yet, and notifies when it moves.
    #[must_use]
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.durable.subscribe()
    }

    /// Reads durable records in order, beginning at a sequence: at most `records` of them or, after the first, `bytes`.
    /// Bytes that are no record become [`record::Payload::Unreadable`].
    ///
    /// # Errors
    ///
    /// Returns [`SpoolError::Storage`] if the disk fails.
    pub fn read(&self, from: u64, records: usize, bytes: usize) -> Result<Vec<(u64, Record)>, SpoolError> {
        let durable = *self.durable.borrow();
        let segments = lock(&self.segments).covering(from..durable);
        let (mut result, mut size) = (Vec::new(), 0);
        for segment in segments {
            for entry in segment.range(from.to_be_bytes()..durable.to_be_bytes()) {
                if result.len() >= records || size >= bytes {
                    return Ok(result);
                }
                let (key, value) = entry.into_inner().map_err(storage("reading"))?;
                let sequence = key.as_ref().try_into().map(u64::from_be_bytes).unwrap_or_default();
                let record = Record::decode(&value).unwrap_or_else(|_| Record::unreadable(&value));
                size += value.len();
                result.push((sequence, record));
            }
        }
        Ok(result)
    }

    /// Returns the first sequence that is not settled yet. Takes no lock: a caller that reads it twice in one expression must not
    /// deadlock with [`Spool::acknowledge`].
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// Moves the position: everything before it is in the table or in the quarantine. Deletes segments wholly before
    /// it. Never moves back. Saves `ledger` with the position, both or neither.
    ///
    /// # Errors
    ///
    /// Returns [`SpoolError::Storage`] if the disk fails; the process must end.
    pub fn acknowledge(&self, position: u64, ledger: Option<&[u8]>) -> Result<(), SpoolError> {
        let moves = position > self.position();
        if !moves && ledger.is_none() {
            return Ok(());
        }
        let clock = *lock(&self.clock);
        let mut batch = self.database.batch();
        if let Some(ledger) = ledger {
            batch.insert(&self.meta, "ledger", ledger);
        }
        if moves {
            batch.insert(&self.meta, "position", position.to_be_bytes());
            batch.insert(&self.meta, "clock", clock.0.to_be_bytes());
        }
        batch.commit().map_err(storage("acknowledging"))?;
        if !moves {
            return Ok(());
        }
        self.position.store(position, Ordering::Release);
        let mut segments = lock(&self.segments);
        segments.release(&self.database, &self.meta, position)?;
        self.occupancy.note(&segments);
        Ok(())
    }

    /// Returns the ledger as it was saved last.
    ///
    /// # Errors
    ///
    /// Returns [`SpoolError::Storage`] if the disk fails.
    pub fn ledger(&self) -> Result<Option<Vec<u8>>, SpoolError> {
        Ok(self.meta.get("ledger").map_err(storage("reading"))?.map(|bytes| bytes.to_vec()))
    }

    /// Returns the daemon's name: the machine's name and a number that was drawn when the spool was created.
    #[must_use]
    pub fn daemon(&self) -> &str {
        &self.daemon
    }

    /// Returns the quarantine.
    #[must_use]
    pub fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    /// Returns the latest received time of its records, present or past, by the daemon's clock.
    #[must_use]
    pub fn clock(&self) -> Micros {
        *lock(&self.clock)
    }
}

fn storage(doing: &'static str) -> impl Fn(fjall::Error) -> SpoolError {
    move |source| SpoolError::Storage { doing, source }
}

/// Locks a mutex, also after a panic elsewhere, which does not make the numbers behind the lock wrong.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use super::*;
    use crate::observe::report::Report;

    /// The segments are locked while the disk is written to, however long that takes.
    #[test]
    fn metrics_and_health_never_wait_for_a_busy_disk() {
        let folder = tempfile::TempDir::new().unwrap();
        let spool = Arc::new(Spool::open(folder.path(), 1 << 30).unwrap());
        let report = Report::new(Arc::default(), spool.clone());
        let writing = lock(&spool.segments);
        let (done, waited) = mpsc::channel();
        std::thread::spawn(move || done.send((report.metrics(), report.health())).unwrap());
        let said = waited.recv_timeout(Duration::from_secs(60));
        drop(writing);
        assert!(said.unwrap().0.contains("bitstamp_spool_bytes"));
    }
}
