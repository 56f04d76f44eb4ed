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
//!
//! An event passes the rooms in this order: [`flow`] decides it in terms of the [`model`] (or [`recording`] reads it), `driver` lets it
//! happen in time, `broadcast` sends its frame to every subscriber and notes it in the [`truth`], and `server` carries it to the client.
//!
//! Modules are declared in the order in which they may depend on each other: a module uses only those declared before it.
//! `scripts/check.sh` checks that.
#![warn(missing_docs, clippy::missing_errors_doc)]

mod clock;

pub mod model;

pub mod flow;

pub mod recording;

pub mod truth;

pub mod faults;

pub mod config;

mod broadcast;

mod state;

mod driver;

mod server;

pub mod simulator;

// The two names every user of the crate needs stand at its root.
pub use crate::config::{Config, Source};
pub use crate::simulator::{Simulator, StartError};
