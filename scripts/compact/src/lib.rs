//! Packs single events of a table into blocks, and takes blocks apart again.
//!
//! The way of an event into a block: `run` -> `events` (read from the index) -> `pack` (a block of many) -> `transfer` (stored, read back,
//! compared; then the single items deleted, each on the condition that it is what the block holds) -> `checkpoint`. `expand` goes the other way. Every
//! call goes through `store`.
#![warn(missing_docs, clippy::missing_errors_doc)]

/// The command line.
pub mod args;

/// Times as people write them.
pub mod time;

/// Conditions on an item as it was read.
pub mod condition;

/// The calls to the table, within the limits.
pub mod store;

/// The `expires` of blocks and of their events, by the table's record.
pub mod expiry;

/// Which events share a block.
pub mod pack;

/// The items of a channel in the order of time.
pub mod events;

/// How far a command is, kept where a new process finds it.
pub mod checkpoint;

/// Which channels are meant.
pub mod channels;

/// Blocks for single items, safely.
pub mod transfer;

/// What a command shows while it runs.
pub mod progress;

/// What every command prepares.
pub mod start;

/// `compact plan`.
pub mod plan;

/// `compact run`.
pub mod run;

/// `compact expand`.
pub mod expand;

/// Reports for people.
pub mod report;
