//! Frames to items and back: golden items, properties over any JSON, recorded frames.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod block;
mod block_damage;
mod block_golden;
mod block_stored;
mod flow;
mod golden;
mod properties;
mod recorded;
mod recordings;
mod same;
mod table;
