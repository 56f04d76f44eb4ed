//! The daemon that captures channels of the exchange into a DynamoDB table without losing a frame silently.
//!
//! Modules stand in the order in which data passes: a socket stamps frames, the intake makes them durable in the spool,
//! the shipper turns them into items, batches and writes them, and moves the spool's position.

/// Settings from file, environment and flags; every fault at once.
pub mod config;

/// The daemon's clock: strictly increasing microseconds.
pub mod clock;

/// What the daemon knows of itself: counters, depths, ages.
pub mod status;

/// The exchange's REST API.
pub mod rest;

/// The exchange's markets: channels checked, wildcards expanded.
pub mod markets;

/// Waiting between attempts: exponential, jittered, capped.
pub mod backoff;

/// Whether a connection is alive, judged by pings and heartbeats and never by data.
pub mod liveness;

/// Which subscriptions of a connection are confirmed.
pub mod subscriptions;

/// A line to the exchange: from bytes to stamped records, one connection after the other without a break.
pub mod socket;

/// Of equal messages from several connections the first goes on.
pub mod arbitrate;

/// What is received and not yet in the table, on disk.
pub mod spool;

/// From the sockets into the spool: group commit.
pub mod intake;

/// One question to the store, its refusals in words.
pub mod ask;

/// What the table holds already.
pub mod stored;

/// Items on their way into one request.
pub mod batch;

/// What becomes of a record: an item, a mark for the ledger, a refusal.
pub mod build;

/// Requests to the table, until everything is stored or refused.
pub mod writer;

/// Which records are settled, and how far the spool's position may move.
pub mod window;

/// Which stretches of a channel's time are complete, worked out from the spool's records.
pub mod ledger;

/// Which of several daemons of one table writes.
pub mod lease;

/// What a daemon does with its spool while another one writes.
pub mod standby;

/// Channels with a new gap, from the shipper to whoever fills it.
pub mod missed;

/// From the spool into the table.
pub mod ship;

/// What was missed, fetched again from the exchange's REST API.
pub mod fill;

/// The table: connecting to it, creating it, checking it.
pub mod table;

/// Metrics and health over HTTP.
pub mod report;

/// Where the log goes: the journal, or text on standard error.
pub mod logs;

/// The whole daemon: the only place that spawns.
pub mod pipeline;
