//! Serves the table's events by channel and time range over HTTP: one axum router, the same inside Lambda and outside.
#![warn(missing_docs, clippy::missing_errors_doc)]

/// What the function needs to know before the first request.
pub mod config;

/// The routes, and what is the same for all of them.
pub mod router;

/// The parameters of a request: everything wrong with them is found before anything is answered.
pub mod request;

/// Where a client stands between two pages, signed so that only what was issued is accepted.
pub mod token;

/// The calls to the table, and what their failures mean for the caller.
pub mod store;

/// One page of events in a total order, whatever order the engine keeps among equal times.
pub mod page;

/// Events as bytes.
pub mod render;

/// Errors as RFC 9457 problem documents.
pub mod problem;
