//! What was received and is not yet in the table, on disk.
//!
//! # Format (version 1, a fjall database)
//!
//! - keyspaces `segment-<first sequence, 20 digits>`: key = sequence (u64, big endian), value = [`crate::spool::record`]; sequences rise by
//!   one without a hole across segments;
//! - keyspace `meta`: `format` = 1; `position` = the first sequence that is not settled; `clock` = the latest received time;
//!   `bytes-<segment>` = what a full segment holds; `daemon` = whose it is; `ledger` = [`crate::ledger`] as of the position;
//! - keyspace `quarantine`: [`crate::spool::quarantine`].
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
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use shared::time::Micros;
use tokio::sync::watch;

use crate::spool::meta::{get_number, identity};
use crate::spool::quarantine::Quarantine;
use crate::spool::record::Record;
use crate::spool::segment::Segments;

/// Why it does not work.
mod error;

/// Small facts about the spool as a whole.
mod meta;

/// One record and its bytes.
pub mod record;

/// The keyspaces that hold the records.
pub mod segment;

/// What could not be stored, with the reason.
pub mod quarantine;

/// Reading through a spool at rest.
mod walk;

pub use crate::spool::error::SpoolError;

const FORMAT: u64 = 1;

/// The spool. One intake appends and syncs; one shipper reads and acknowledges.
pub struct Spool {
    database: Database,
    meta: Keyspace,
    quarantine: Quarantine,
    segments: Mutex<Segments>,
    max_bytes: u64,
    /// The first sequence that is not durable yet.
    durable: watch::Sender<u64>,
    /// The first sequence that is not settled yet.
    position: watch::Sender<u64>,
    clock: Mutex<Micros>,
    daemon: String,
}

impl Spool {
    /// Opens or creates the spool in `folder`. Takes the same memory however much is in it.
    ///
    /// # Errors
    ///
    /// [`SpoolError`] says what to do.
    pub fn open(folder: &Path, max_bytes: u64) -> Result<Spool, SpoolError> {
        let shown = || folder.display().to_string();
        let database = Database::builder(folder)
            // One worker never gets to flush while the intake writes: memory grew to 1 GB. Two are enough.
            .worker_threads(2)
            .cache_size(4 << 20)
            .max_journaling_size(64 << 20)
            .manual_journal_persist(true)
            .open()
            .map_err(|source| match source {
                fjall::Error::Locked => SpoolError::InUse(shown()),
                source => SpoolError::Open { folder: shown(), source },
            })?;
        let meta = database.keyspace("meta", options).map_err(storage("opening"))?;
        match get_number(&meta, "format")? {
            None => meta.insert("format", FORMAT.to_be_bytes()).map_err(storage("creating"))?,
            Some(FORMAT) => {}
            Some(other) => return Err(SpoolError::Format(other)),
        }
        let position = get_number(&meta, "position")?.unwrap_or(0);
        let segments = Segments::open(&database, &meta, position, max_bytes)?;
        let position = position.max(segments.first());
        let clock = Micros(get_number(&meta, "clock")?.unwrap_or(0)).max(segments.last_received()?);
        let quarantine = Quarantine::open(&database)?;
        let daemon = identity(&meta, folder)?;
        database.persist(PersistMode::SyncAll).map_err(storage("opening"))?;
        Ok(Spool {
            durable: watch::Sender::new(segments.next()),
            position: watch::Sender::new(position),
            clock: Mutex::new(clock),
            segments: Mutex::new(segments),
            database,
            meta,
            quarantine,
            max_bytes,
            daemon,
        })
    }

    /// Appends records; they are durable after the next [`Spool::sync`]. Returns their sequences.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Storage`]: final.
    pub fn append(&self, records: &[Record]) -> Result<Range<u64>, SpoolError> {
        if let Some(latest) = records.iter().map(|record| record.received_at).max() {
            let mut clock = lock(&self.clock);
            *clock = latest.max(*clock);
        }
        lock(&self.segments).append(&self.database, &self.meta, records)
    }

    /// Makes everything appended so far durable.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Storage`]: final; after a failed fsync nobody knows what is on the disk.
    pub fn sync(&self) -> Result<(), SpoolError> {
        let next = lock(&self.segments).next();
        self.database.persist(PersistMode::SyncData).map_err(storage("syncing"))?;
        self.durable.send_replace(next);
        Ok(())
    }

    /// The first sequence that is not durable yet, and a signal when it moves.
    #[must_use]
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.durable.subscribe()
    }

    /// Durable records from a sequence on, in order; at most `records` of them or, once there is one, `bytes`.
    ///
    /// # Errors
    ///
    /// [`SpoolError`] if the disk or a record is damaged.
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
                let record = Record::decode(&value).map_err(|source| SpoolError::Damaged { sequence, source })?;
                size += value.len();
                result.push((sequence, record));
            }
        }
        Ok(result)
    }

    /// The first sequence that is not settled, and a signal when it moves.
    #[must_use]
    pub fn position(&self) -> watch::Receiver<u64> {
        self.position.subscribe()
    }

    /// Everything before `position` is in the table or in the quarantine: moves the position and gives back the space of
    /// whole segments. Never moves back. `ledger` is saved with it, both or neither.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Storage`]: final.
    pub fn acknowledge(&self, position: u64, ledger: Option<&[u8]>) -> Result<(), SpoolError> {
        let moves = position > *self.position.borrow();
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
        self.position.send_replace(position);
        lock(&self.segments).release(&self.database, &self.meta, position)
    }

    /// The ledger as it was saved last.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Storage`].
    pub fn ledger(&self) -> Result<Option<Vec<u8>>, SpoolError> {
        Ok(self.meta.get("ledger").map_err(storage("reading"))?.map(|bytes| bytes.to_vec()))
    }

    /// Whose records these are: the machine's name and a number that was drawn when the spool was created.
    #[must_use]
    pub fn daemon(&self) -> &str {
        &self.daemon
    }

    /// What could not be stored.
    #[must_use]
    pub fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    /// The latest received time in it, or in what it held before.
    #[must_use]
    pub fn clock(&self) -> Micros {
        *lock(&self.clock)
    }

    /// How many records wait.
    #[must_use]
    pub fn depth(&self) -> u64 {
        lock(&self.segments).next().saturating_sub(*self.position.borrow())
    }

    /// How many bytes it holds: its segments, whole, and the quarantine.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        lock(&self.segments).bytes() + self.quarantine.bytes()
    }

    /// Whether intake must stop.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes() >= self.max_bytes
    }

    /// Whether intake may go on after it had to stop: a tenth below the bound, so that it does not flutter.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.bytes() < self.max_bytes / 10 * 9
    }

    /// Its bound in bytes.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }
}

/// Small memtables: what is not flushed is memory.
fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(2 << 20)
}

fn storage(doing: &'static str) -> impl Fn(fjall::Error) -> SpoolError {
    move |source| SpoolError::Storage { doing, source }
}

/// A panic elsewhere does not make the numbers behind the lock wrong.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
