//! The daemon against a simulated exchange and a real store, over real sockets, with everything that goes wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "seeds and figures belong into the output of a test")]

mod bad_input;
mod campaign;
mod commands;
mod connection;
mod faults;
mod fill;
mod kill;
mod ledger;
mod outage;
mod overload;
mod redundancy;
mod report;
mod service;
mod spool;
mod start;
mod stop;
mod support;
mod turns;
