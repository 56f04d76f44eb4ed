//! The daemon that captures channels of the exchange into a DynamoDB table without losing a frame silently.
//!
//! An event passes the rooms in this order: [`receive`] stamps its message and makes it durable in the [`spool`], [`ship`] reads it
//! back and turns it into an item, [`store`] writes the item to the table. Beside them, [`ledger`] works out which intervals are
//! complete, [`gap_fill`] fetches over [`exchange`] what was missed, and [`observe`] says how the daemon does.
//!
//! Modules are declared in the order in which they may depend on each other: a module uses only those declared before it.
//! `scripts/check.sh` checks that.
#![warn(missing_docs)]

pub mod clock;

pub mod backoff;

pub mod recent;

pub mod config;

pub mod spool;

pub mod observe;

pub mod exchange;

pub mod receive;

pub mod ledger;

pub mod store;

pub mod ship;

pub mod gap_fill;

pub mod pipeline;
