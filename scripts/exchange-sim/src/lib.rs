//! A stand-in for the Bitstamp exchange: its WebSocket v2 and REST interfaces over a seeded order flow or a recording,
//! with faults on command and a file that says what was truly sent.
//!
//! ```no_run
//! # async fn example() -> Result<(), exchange_sim::StartError> {
//! use exchange_sim::{Config, Simulator, faults::Fault};
//!
//! let exchange = Simulator::start(Config { rate: 2.0, ..Config::default() }).await?;
//! // A client connects to `exchange.ws_url()` ...
//! exchange.inject(Fault::Cut);
//! exchange.shutdown().await;
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs, clippy::missing_errors_doc)]

/// What a simulator is started with.
pub mod config;
/// A running simulator; the one place that spawns.
pub mod simulator;

/// Channel names: which ones the exchange accepts.
pub mod channel;
/// The markets that exist.
pub mod market;

/// What happens: events of orders, and trades.
pub mod event;
/// The seeded order flow over a matching engine.
pub mod flow;
/// The frames they become.
pub mod frame;
/// Numbers as the exchange spells them.
pub mod number;
/// Recorded frames as a source.
pub mod recording;
/// What drives events through time.
mod source;

/// What all tasks of a simulator share.
mod exchange;
/// What goes wrong on command.
pub mod faults;
/// Who gets what: every frame goes out through here.
mod hub;
/// What was truly sent.
pub mod truth;

/// The simulator's clock.
mod clock;
/// The one port for both interfaces.
mod port;
/// The REST side.
mod rest;
/// The WebSocket side.
mod websocket;

// The two names every user of the crate needs stand at its root.
pub use crate::config::{Config, Source};
pub use crate::simulator::{Simulator, StartError};
