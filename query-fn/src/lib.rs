//! Serves the table's events by channel and time range over HTTP: one axum router, the same inside Lambda and outside.
#![warn(missing_docs, clippy::missing_errors_doc)]

/// What the function needs to know before the first request.
pub mod config;

/// The service: paths, and what is the same for all of them.
pub mod router;

/// Around every request: its id, its deadline, its log line, its error as a document.
pub mod invocation;

/// What each path does.
pub mod routes;

/// The parameters of a request: everything wrong with them is found before anything is answered.
pub mod request;

/// Where a client stands between two pages, signed so that only what was issued is accepted.
pub mod token;

/// Which answers never change, and how a client that has one is told so.
pub mod caching;

/// The calls to the table, and what their failures mean for the caller.
pub mod store;

/// One page of events in a total order, whatever order the engine keeps among equal times.
pub mod page;

/// The channels that were ever subscribed.
pub mod channels;

/// What was captured and what may have been missed.
pub mod coverage;

/// Trades summed up by interval, exactly.
pub mod candles;

/// How a list looks: format, columns, lines.
pub mod render;

/// gzip and zstd.
pub mod encoding;

/// The answer to a request for a list.
pub mod reply;

/// Errors as RFC 9457 problem documents.
pub mod problem;
