use crate::config::Faults;
use crate::rest::RestError;
use crate::spool::SpoolError;
use crate::table::TableError;

/// Why the daemon could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The disk.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The table is not one that events can be written to.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A market that the exchange does not have, or a wildcard that cannot be expanded.
    #[error(transparent)]
    Config(#[from] Faults),
    /// The address for metrics and health is taken.
    #[error("cannot listen on {address}: {source}; stop what uses it or set --listen")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The spool's ledger was written by a later version, or is damaged.
    #[error("the spool's ledger cannot be read: {0}")]
    Ledger(#[from] serde_json::Error),
    /// The client for the exchange's REST API cannot be built.
    #[error(transparent)]
    Rest(#[from] RestError),
    /// A stage ended that should not.
    #[error("the {0} ended unexpectedly")]
    Ended(&'static str),
}
