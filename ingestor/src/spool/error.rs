//! Why the spool does not work.

use std::error::Error;
use std::io::{self, ErrorKind};

use crate::spool::open::FORMAT;
use crate::spool::record::RecordError;

/// Why the spool failed. None of these can be mended by trying again within the process.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has the spool open.
    #[error("the spool `{0}` is in use by another process; stop it or configure another spool_dir")]
    InUse(String),
    /// The spool could not be opened.
    #[error("the spool `{folder}` cannot be opened: {source}")]
    Open {
        /// Folder of the spool.
        folder: String,
        /// Error of the storage engine.
        source: fjall::Error,
    },
    /// The spool was written by a later version.
    #[error("the spool has format {0}, this program reads format {FORMAT}; use the newer program")]
    Format(u64),
    /// Reading, writing or fsync failed: full disk, bad disk.
    #[error("the spool failed while {doing}: {source}")]
    Storage {
        /// The operation.
        doing: &'static str,
        /// Error of the storage engine.
        source: fjall::Error,
    },
    /// A record was not written by this program.
    #[error("record {sequence} of the spool is damaged: {source}")]
    Damaged {
        /// Its sequence.
        sequence: u64,
        /// What is wrong with it.
        source: RecordError,
    },
}

impl SpoolError {
    /// Returns true if the disk, or the user's quota, is full: that passes once there is room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if matches!(kind, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded)) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}
