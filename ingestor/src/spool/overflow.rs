//! The quarantine's limit: its oldest entries go to a compressed file beside the spool.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::spool::SpoolError;
use crate::spool::line;
use crate::spool::quarantine::Quarantine;

/// Divisor of the spool's limit that gives the quarantine's own limit.
const SHARE: u64 = 8;
/// Number of entries moved at once; bounds memory.
const AT_ONCE: usize = 256;

/// Keeps the quarantine below its limit, so that one channel whose format changes never stops the others.
///
/// The oldest entries are appended to `quarantine.ndjson.gz` in the spool's folder, one gzip member a time, in the form of
/// `ingestor quarantine export`. Once that file is as large as the limit it takes the place of `quarantine.1.ndjson.gz`.
#[derive(Debug)]
pub(super) struct Overflow {
    folder: PathBuf,
    limit: u64,
}

impl Overflow {
    /// Creates the overflow of a spool in `folder` with this limit in bytes.
    pub(super) fn new(folder: &Path, max_bytes: u64) -> Overflow {
        Overflow { folder: folder.to_owned(), limit: max_bytes / SHARE }
    }

    /// Moves the oldest entries out until a quarter of the limit is free again.
    ///
    /// # Errors
    ///
    /// Returns [`SpoolError::Storage`] if the disk fails; the process must end. A file that cannot be written is no error: the
    /// entries stay where they are.
    pub(super) fn relieve(&self, quarantine: &Quarantine) -> Result<(), SpoolError> {
        if quarantine.bytes() <= self.limit {
            return Ok(());
        }
        let mut moved = 0;
        while quarantine.bytes() > self.limit / 4 * 3 {
            let mut sequences = BTreeSet::new();
            let mut lines = Vec::new();
            // An entry that cannot be read is passed over here as everywhere.
            for entry in quarantine.entries().flatten().take(AT_ONCE) {
                let written = line::write(&mut lines, entry.sequence, &entry.record, Some(&entry.reason));
                written.expect("a vector takes everything");
                sequences.insert(entry.sequence);
            }
            if sequences.is_empty() {
                break;
            }
            if let Err(error) = self.append(&lines) {
                tracing::error!(%error, "the quarantine is full and its oldest entries cannot be moved to a file");
                return Ok(());
            }
            quarantine.remove(&sequences)?;
            moved += sequences.len();
        }
        let file = self.file("quarantine.ndjson.gz");
        tracing::error!(moved, file = %file.display(), "the quarantine is full; its oldest entries were moved to a file");
        Ok(())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Appends a gzip member; durable when it returns.
    fn append(&self, lines: &[u8]) -> std::io::Result<()> {
        let path = self.file("quarantine.ndjson.gz");
        if std::fs::metadata(&path).is_ok_and(|file| file.len() >= self.limit) {
            std::fs::rename(&path, self.file("quarantine.1.ndjson.gz"))?;
            tracing::error!("the file of moved quarantine entries is full; the one before it was removed");
        }
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let mut gzip = GzEncoder::new(file, Compression::default());
        gzip.write_all(lines)?;
        let file: File = gzip.finish()?;
        file.sync_all()?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    use flate2::read::MultiGzDecoder;
    use shared::time::Micros;

    use crate::spool::Spool;
    use crate::spool::quarantine::QuarantineEntry;
    use crate::spool::record::{Payload, Record};

    #[test]
    fn a_full_quarantine_moves_its_oldest_entries_and_never_fills_the_spool() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 16 << 20).unwrap();
        for sequence in 0..3_000 {
            let payload = Payload::Text(vec![b'x'; 1_000]);
            let record = Record { received_at: Micros(sequence + 1), connection: 1, payload };
            spool.quarantine().put(&[QuarantineEntry { sequence, reason: "changed".to_owned(), record }]).unwrap();
            assert!(spool.quarantine().bytes() <= (2 << 20) + 2_000);
        }
        assert_eq!(spool.bytes(), 0, "the quarantine has a limit of its own");
        let mut text = String::new();
        let file = File::open(folder.path().join("quarantine.ndjson.gz")).unwrap();
        MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
        let moved: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["sequence"].as_u64().unwrap())
            .collect();
        let kept: Vec<u64> = spool.quarantine().entries().map(|entry| entry.unwrap().sequence).collect();
        assert!(!moved.is_empty());
        assert_eq!([moved, kept].concat(), (0..3_000).collect::<Vec<_>>(), "none is lost, in order");
        drop(spool);
        assert!(Spool::open(folder.path(), 16 << 20).is_ok(), "the engine does not mind the files");
    }
}
