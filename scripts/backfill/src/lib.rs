//! Gives every item of a DynamoDB table a numeric copy of a time that was stored as a string, without stopping writers.
//!
//! A page's way: `run` -> `scan` -> `examine` (-> `convert`) -> `apply` (-> `statement`, `answer`, `limit`) -> `checkpoint`.
#![warn(missing_docs, clippy::missing_errors_doc)]

/// The command line.
pub mod args;
/// Why a command cannot go on, and what to do about it.
pub mod error;
/// The service as every command reaches it: a client without retries of its own.
pub mod client;
/// Which failures of a call are worth another attempt, and when.
pub mod retry;
/// The table as described: keys, index, capacity, backups.
pub mod shape;
/// A stored value becomes the value to store, or a reason why not.
pub mod convert;
/// What one item needs.
pub mod examine;
/// One page of the table or of its index.
pub mod scan;
/// One change as a PartiQL statement or as an `UpdateItem`.
pub mod statement;
/// What an answer says about each change.
pub mod answer;
/// Units a second: a bucket that is corrected by what was really consumed.
pub mod limit;
/// A page's changes, written.
pub mod apply;
/// Keys and attributes as JSON, for files and reports.
pub mod json;
/// How far each segment is, kept where a new process finds it.
pub mod checkpoint;
/// The running totals: terminal bar or JSON lines.
pub mod progress;
/// Creating the index.
pub mod index;
/// `backfill plan`.
pub mod plan;
/// `backfill run`.
pub mod run;
/// `backfill verify`.
pub mod verify;
/// Reports for people.
pub mod report;
