//! The words all programs share: a frame becomes an event, an event becomes an item, an item an event again.
//!
//! No I/O, no clock, no async. Of the AWS SDK only the types that describe attributes and tables are used.
#![warn(missing_docs, clippy::missing_errors_doc)]

/// Microseconds since the Unix epoch, and how people and the exchange write them.
pub mod time;

/// Numbers as text: what is equal, what DynamoDB can hold. Nothing here passes through a float.
pub mod number;

/// Channel names: family and market.
pub mod channel;

/// What happened on a market: the part of a frame that is stored.
pub mod event;

/// One text message of the WebSocket, taken apart by name.
pub mod frame;

/// JSON values as DynamoDB attributes and back, exactly.
pub mod attribute;

/// The table and its index: names, keys, and whether a given table is one.
pub mod table;

/// The primary key of an event: a function of its content alone.
pub mod key;

/// One event as one item, and back.
pub mod item;

// Its documentation is the format of blocks.
pub mod block;

/// Which intervals of a channel's time are complete: records of the ledger, and their union.
pub mod coverage;

pub mod keep;
