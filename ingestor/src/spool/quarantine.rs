//! Records that cannot be stored, each with its reason.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{Database, Keyspace, PersistMode};

use crate::spool::open::options;
use crate::spool::overflow::Overflow;
use crate::spool::record::Record;
use crate::spool::{SpoolError, storage};

/// Records that could not be stored, by sequence, each with its reason. They wait for a fix and never block what
/// follows.
///
/// Value: length of the reason (4 bytes, little endian), reason (UTF-8), the record as in the spool.
pub struct Quarantine {
    database: Database,
    keyspace: Keyspace,
    bytes: AtomicU64,
    count: AtomicU64,
    overflow: Overflow,
}

/// A record in the quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineEntry {
    /// Sequence of the record in the spool.
    pub sequence: u64,
    /// Why it could not be stored.
    pub reason: String,
    /// The record.
    pub record: Record,
}

impl Quarantine {
    pub(super) fn open(database: &Database, overflow: Overflow) -> Result<Quarantine, SpoolError> {
        let keyspace = database.keyspace("quarantine", options).map_err(storage("opening"))?;
        let (mut bytes, mut count) = (0, 0);
        for entry in keyspace.iter() {
            bytes += u64::from(entry.size().map_err(storage("opening"))?);
            count += 1;
        }
        Ok(Quarantine {
            database: database.clone(),
            keyspace,
            bytes: AtomicU64::new(bytes),
            count: AtomicU64::new(count),
            overflow,
        })
    }

    /// Inserts entries; durable when it returns. Replaces an entry of the same sequence. Beyond the quarantine's limit
    /// the oldest entries are moved to a compressed file in the spool's folder.
    ///
    /// # Errors
    ///
    /// Returns [`SpoolError::Storage`] if the disk fails; the process must end.
    pub fn put(&self, entries: &[QuarantineEntry]) -> Result<(), SpoolError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        let (mut bytes, mut replaced, mut count) = (0, 0, 0);
        for QuarantineEntry { sequence, reason, record } in entries {
            let key = sequence.to_be_bytes();
            let length = u32::try_from(reason.len()).unwrap_or(u32::MAX);
            let value = [&length.to_le_bytes(), reason.as_bytes(), &record.encode()].concat();
            bytes += value.len() as u64;
            match self.keyspace.size_of(key).map_err(storage("quarantining"))? {
                Some(old) => replaced += u64::from(old),
                None => count += 1,
            }
            batch.insert(&self.keyspace, key, value);
        }
        batch.commit().map_err(storage("quarantining"))?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes.fetch_sub(replaced, Ordering::Relaxed);
        self.count.fetch_add(count, Ordering::Relaxed);
        self.overflow.relieve(self)
    }

    /// Removes entries that are settled after all; durable when it returns. Ignores sequences that are not there.
    ///
    /// # Errors
    ///
    /// Returns [`SpoolError::Storage`] if the disk fails; the process must end.
    pub fn remove(&self, sequences: &BTreeSet<u64>) -> Result<(), SpoolError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        let (mut bytes, mut count) = (0, 0);
        for sequence in sequences {
            let key = sequence.to_be_bytes();
            if let Some(size) = self.keyspace.size_of(key).map_err(storage("emptying the quarantine"))? {
                bytes += u64::from(size);
                count += 1;
                batch.remove(&self.keyspace, key);
            }
        }
        batch.commit().map_err(storage("emptying the quarantine"))?;
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.count.fetch_sub(count, Ordering::Relaxed);
        Ok(())
    }

    /// Returns the entries, oldest first, each read when it is asked for.
    pub fn entries(&self) -> impl Iterator<Item = Result<QuarantineEntry, SpoolError>> {
        self.keyspace.iter().map(|entry| {
            let (key, value) = entry.into_inner().map_err(storage("reading the quarantine"))?;
            let sequence = key.as_ref().try_into().map(u64::from_be_bytes).unwrap_or_default();
            decode(sequence, &value)
        })
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Returns the size of all entries, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

fn decode(sequence: u64, value: &[u8]) -> Result<QuarantineEntry, SpoolError> {
    let short = || SpoolError::Damaged { sequence, source: super::record::RecordError::Short(value.len()) };
    let (length, rest) = value.split_first_chunk().ok_or_else(short)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (reason, record) = rest.split_at_checked(length).ok_or_else(short)?;
    let record = Record::decode(record).map_err(|source| SpoolError::Damaged { sequence, source })?;
    Ok(QuarantineEntry { sequence, reason: String::from_utf8_lossy(reason).into_owned(), record })
}
