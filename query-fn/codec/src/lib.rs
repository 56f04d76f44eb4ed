//! The hot path of a page: from DynamoDB's JSON and from blocks to items, and from items to JSON or CSV. It is a package of its own because it alone of the
//! function is compiled for speed, not for size.
#![warn(missing_docs, clippy::missing_errors_doc)]

pub mod item;

pub mod answer;

pub mod block;

pub mod json;

pub mod csv;
