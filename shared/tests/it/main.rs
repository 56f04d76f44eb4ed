//! Frames to items and back: golden items, properties over any JSON, recorded frames.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod golden;
mod properties;
mod recorded;
mod same;
mod table;
