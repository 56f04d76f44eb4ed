//! Opens the spool and finds where it ended.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use shared::time::Micros;
use tokio::sync::watch;

use crate::spool::blocks::KeptBlocks;
use crate::spool::meta::{self, get_number, identity};
use crate::spool::occupancy::Occupancy;
use crate::spool::overflow::Overflow;
use crate::spool::quarantine::Quarantine;
use crate::spool::segment::Segments;
use crate::spool::{Spool, SpoolError, storage};

/// Version of the spool's format; another one is refused.
pub(super) const FORMAT: u64 = 1;

impl Spool {
    /// Opens or creates the spool in `folder`. Takes the same memory however much the spool holds.
    ///
    /// # Errors
    ///
    /// Returns a [`SpoolError`], whose text says what to do.
    pub fn open(folder: &Path, max_bytes: u64) -> Result<Spool, SpoolError> {
        let is_new = !meta::is_there(folder);
        let opened = Spool::open_database(folder, max_bytes);
        // The engine takes a database that it could not create to its end for a damaged one, for ever.
        if is_new && opened.as_ref().is_err_and(SpoolError::is_full) {
            meta::take_away(folder);
        }
        opened
    }

    fn open_database(folder: &Path, max_bytes: u64) -> Result<Spool, SpoolError> {
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
        let quarantine = Quarantine::open(&database, Overflow::new(folder, max_bytes))?;
        let blocks = KeptBlocks::open(&database)?;
        let daemon = identity(&meta, folder)?;
        database.persist(PersistMode::SyncAll).map_err(storage("opening"))?;
        meta::probe(folder)?;
        let occupancy = Occupancy::default();
        occupancy.note(&segments);
        Ok(Spool {
            occupancy,
            blocks: Mutex::new(blocks),
            durable: watch::Sender::new(segments.next()),
            position: AtomicU64::new(position),
            clock: Mutex::new(clock),
            segments: Mutex::new(segments),
            database,
            meta,
            quarantine,
            max_bytes,
            daemon,
        })
    }
}

/// Keeps memtables small: what is not flushed is memory.
pub(super) fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(2 << 20)
}
