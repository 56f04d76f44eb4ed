//! Errors that end a command, and their exit codes.

use std::{io, path::PathBuf};

/// Why a command cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service refuses a call for good.
    #[error("{operation} failed: {code}: {message}{remedy}")]
    Refused {
        /// The call.
        operation: &'static str,
        /// The service's code.
        code: String,
        /// The service's message.
        message: String,
        /// What to do, where it is known; begins with `; `.
        remedy: String,
    },
    /// No progress for too long; the checkpoint stands.
    #[error(
        "{operation} made no progress for {seconds} s, last: {last}; what is done is kept, the same command goes on from there"
    )]
    GaveUp {
        /// The call.
        operation: &'static str,
        /// How long.
        seconds: u64,
        /// The last failure.
        last: String,
    },
    /// Something about the table or the arguments stands against the command.
    #[error("{0}")]
    Guard(String),
    /// A file of ours.
    #[error("cannot {doing} {path}: {source}")]
    File {
        /// `read`, `write`, `lock`, ...
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The checkpoint belongs to something else, or is damaged.
    #[error("checkpoint {place}: {problem}; run with the first arguments again, or drop it with --restart")]
    Checkpoint {
        /// Its file or item.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// Ctrl-C or SIGTERM.
    #[error("interrupted; what is done is kept, the same command goes on from there")]
    Interrupted,
}

impl Error {
    /// The code a process ends with: 0 and 3 are not failures and stand elsewhere.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Guard(_) | Self::Checkpoint { .. } => 2,
            Self::Interrupted => 130,
            Self::Refused { .. } | Self::GaveUp { .. } | Self::File { .. } => 1,
        }
    }
}
