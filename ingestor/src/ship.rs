//! From the disk to requests.
//!
//! The [`shipper`] reads durable records from the spool. [`decode`] turns each into an item, an input for the ledger or a refusal;
//! [`conflict`] holds back an event whose key is taken by another one, and [`standby`] an event that another daemon may write. [`blocks`] packs the
//! events of channels that are configured so into one item each for many. Items go to the store in batches. [`window`] tracks what is settled and moves the spool's position; the ledger is applied with it.

pub mod blocks;
pub mod conflict;
pub mod decode;
mod event_clock;
mod in_flight;
mod late;
mod parked;
pub mod shipper;
pub mod standby;
pub mod window;
