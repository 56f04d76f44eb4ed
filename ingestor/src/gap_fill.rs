//! From the exchange's history to the table.
//!
//! The [`filler`] learns from the ledger in the table which gaps there are ([`gaps`]) and attempts each when [`schedule`] says so. `trades`
//! and `orders` fetch what was missed over REST and write what the table lacks; where order events cannot be fetched, `snapshot` stores an
//! order book. `audit` compares the exchange's trades with the table, and `days` compacts the ledger of closed days.

mod audit;
mod context;
mod days;
mod error;
pub mod filler;
pub mod gaps;
mod orders;
pub mod schedule;
mod snapshot;
mod trades;
