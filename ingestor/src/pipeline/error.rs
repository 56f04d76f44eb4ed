//! Why the daemon could not start, or ended.

use tokio::sync::oneshot::error::RecvError;
use tokio::task::JoinError;

use crate::config::Faults;
use crate::exchange::rest::RestError;
use crate::spool::SpoolError;

/// Why the daemon could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The spool failed.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The exchange does not have a market, or a wildcard cannot be expanded.
    #[error(transparent)]
    Config(#[from] Faults),
    /// The address for metrics and health is taken.
    #[error("cannot listen on {address}: {source}; stop what uses it or set --listen")]
    Listen {
        /// The configured address of metrics and health.
        address: std::net::SocketAddr,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The spool's ledger was written by a later version, or is damaged.
    #[error("the spool's ledger cannot be read: {0}")]
    Ledger(#[from] serde_json::Error),
    /// The client for the exchange's REST API cannot be built.
    #[error(transparent)]
    Rest(#[from] RestError),
    /// A task ended that should run on: it panicked, as the log lines before say.
    #[error("the {0} ended unexpectedly")]
    Ended(&'static str),
    /// A task did not end at a stop.
    #[error("the {0} did not end in time; its disk hangs")]
    Hangs(&'static str),
}

/// Returns the error of an intake that ended.
pub(super) fn intake(ended: Result<Result<(), SpoolError>, RecvError>) -> PipelineError {
    match ended {
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) | Err(_) => PipelineError::Ended("intake"),
    }
}

/// Returns the error of a shipper that ended.
pub(super) fn shipper(ended: Result<Result<(), PipelineError>, JoinError>) -> PipelineError {
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) | Err(_) => PipelineError::Ended("shipper"),
    }
}
