use crate::spool::FORMAT;
use crate::spool::record::RecordError;

/// Why the spool does not work. None of these can be mended by trying again within the process.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has it open.
    #[error("the spool `{0}` is in use by another process; stop it or configure another spool_dir")]
    InUse(String),
    /// Opening failed.
    #[error("the spool `{folder}` cannot be opened: {source}")]
    Open {
        /// Its folder.
        folder: String,
        /// What the engine says.
        source: fjall::Error,
    },
    /// Written by a later version.
    #[error("the spool has format {0}, this program reads format {FORMAT}; use the newer program")]
    Format(u64),
    /// Reading, writing or fsync failed: full disk, bad disk.
    #[error("the spool failed while {doing}: {source}")]
    Storage {
        /// What it was doing.
        doing: &'static str,
        /// What the engine says.
        source: fjall::Error,
    },
    /// A record that this program did not write.
    #[error("record {sequence} of the spool is damaged: {source}")]
    Damaged {
        /// Its number.
        sequence: u64,
        /// What is wrong.
        source: RecordError,
    },
}
