//! From the exchange to the disk.
//!
//! Each [`socket`] keeps one [`connection`] to the exchange open, on the channels that [`listing`] hands it. The connection stamps every
//! message with the daemon's clock and sends it to the [`intake`], which lets the first of equal messages through ([`arbiter`]), appends
//! it to the spool and fsyncs. [`liveness`], [`subscriptions`] and [`ages`] decide when a connection is renewed; they are pure.

pub mod ages;
pub mod arbiter;
pub mod connection;
pub mod intake;
pub mod listing;
pub mod liveness;
pub mod socket;
pub mod subscriptions;
