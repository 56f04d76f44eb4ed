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

/// Which actions are allowed.
pub mod allow;
/// Errors in the service's wire form.
pub mod answer;
/// Batches taken apart, and answers put together again.
pub mod batch;
/// Answers that end well and answers that break off.
mod body;
/// Capacity as the service grants it: write units a second for each partition of the table and of its index.
pub mod budgets;
/// A call as far as the proxy reads it: action, table, index, partition keys.
pub mod call;
/// What a proxy is started with, and how its whole endpoint may fail.
pub mod config;
/// What the proxy saw and did.
pub mod counts;
/// What happens to one call.
mod fault;
/// Answers with status 200 that do not say what became of a call.
mod hollow;
/// What may go wrong and how often.
pub mod mix;
/// The proxy itself: listens, serves, stops.
pub mod proxy;
/// The size of an item and its write units.
pub mod size;
/// What all connections share: dice, budgets, whether the endpoint is down.
mod state;
/// The way to the endpoint behind.
mod upstream;
