//! Gives every item of a DynamoDB table a numeric copy of a time that was stored as a string, without stopping writers.
//!
//! A page's way: `run` -> `migration` -> `scan` -> `examine` (-> `convert`) -> `apply` (-> `statement`, `answer`, `limit`) -> `checkpoint`.
#![warn(missing_docs, clippy::missing_errors_doc)]

/// Why a command cannot go on, and what to do about it.
pub mod error;

/// Keys and attributes as JSON, for files and reports.
pub mod json;

/// A stored value becomes the value to store, or a reason why not.
pub mod convert;

/// The running totals: terminal bar or JSON lines.
pub mod progress;

/// Ctrl-C and SIGTERM.
pub mod signals;

pub mod program;

/// Which failures of a call are worth another attempt, and when.
pub mod retry;

/// Units a second: a bucket that is corrected by what was really consumed.
pub mod limit;

/// What an answer says about each change.
pub mod answer;

/// The command line.
pub mod args;

/// The service as every command reaches it: a client without retries of its own.
pub mod client;

/// The table as described: keys, index, capacity, backups.
pub mod table_info;

/// One page of the table or of its index.
pub mod scan;

/// What one item needs.
pub mod examine;

/// Creating the index.
pub mod index;

/// One change as a PartiQL statement or as an `UpdateItem`.
pub mod statement;

/// What became of changes.
pub mod written;

pub mod channels;

/// How far each segment is, kept where a new process finds it.
pub mod checkpoint;

/// `backfill plan`.
pub mod plan;

/// `backfill verify`.
pub mod verify;

/// A page's changes, written.
pub mod apply;

/// Keeps the checkpoint: in a file, or in an item of the table.
pub mod checkpoint_store;

/// The segments of a run, page by page.
pub mod migration;

/// `backfill run`.
pub mod run;

/// Reports for people.
pub mod report;
