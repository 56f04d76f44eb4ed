//! A seeded proxy in front of any DynamoDB endpoint that makes it misbehave as the real service and real networks do.
//!
//! ```no_run
//! # async fn example() -> Result<(), fault_proxy::proxy::StartError> {
//! use fault_proxy::{config::Config, mix::FaultProbabilities, proxy::Proxy};
//!
//! let mut config = Config::new("http://127.0.0.1:8000", 7);
//! config.mix = FaultProbabilities::rough();
//! let proxy = Proxy::start(config).await?;
//! println!("point the SDK at {}", proxy.url());
//! # proxy.shutdown().await; Ok(()) }
//! ```
//!
//! Emulators check no signatures, and the proxy relies on that: it changes request bodies. It is not for the real service.
#![warn(missing_docs, clippy::missing_errors_doc)]

/// The size of an item and its write units.
pub mod size;

/// Answers that end well and answers that break off.
mod body;

/// What may go wrong and how often.
pub mod mix;

/// A call as far as the proxy reads it: action, table, index, partition keys.
pub mod call;

/// Batches taken apart, and answers put together again.
pub mod batch;

/// What the proxy saw and did.
pub mod counts;

/// Errors in the service's wire form.
pub mod answer;

/// The way to the endpoint behind.
mod upstream;

/// Which actions are allowed.
pub mod allow;

/// Capacity as the service grants it: write units a second for each partition of the table and of its index.
pub mod budgets;

/// Answers with status 200 that do not say what became of a call.
mod hollow;

/// What a proxy is started with, and how its whole endpoint may fail.
pub mod config;

/// What all connections share: dice, budgets, whether the endpoint is down.
mod state;

/// What happens to one call.
mod fault;

/// The proxy itself: listens, serves, stops.
pub mod proxy;
