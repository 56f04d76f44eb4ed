//! From the rooms to the operator.
//!
//! Every room counts in the one [`status`] and says there what is in [`trouble`]; changes of trouble go to the log ([`logs`]).
//! [`watch`] adds the troubles that no single room can notice. [`report`] serves all of it as `/metrics` and `/health`, [`page`] as `/status`,
//! for programs and for people.

pub mod backlog;
pub mod connections;
pub mod cost;
pub mod document;
pub mod gaps;
pub mod gauges;
pub mod logs;
pub mod page;
pub mod report;
pub mod status;
pub mod trouble;
pub mod watch;
