//! What every byte of a page goes through: from DynamoDB's JSON to the caller's JSON or CSV. A package of its own because it
//! alone of the function is compiled for speed, not for size.
#![warn(missing_docs, clippy::missing_errors_doc)]

/// The answer to a Query as items.
pub mod answer;

/// An item between the table and the caller.
pub mod item;

/// JSON, one item at a time.
pub mod json;

/// Comma-separated values, RFC 4180.
pub mod csv;
