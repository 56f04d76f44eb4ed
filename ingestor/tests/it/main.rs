//! The daemon against a simulated exchange and a real store, over real sockets, with everything that goes wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "seeds and figures belong into the output of a test")]

mod bad_input;
mod blocks;
mod campaign;
mod clocks;
mod commands;
mod conflict;
mod connection;
mod days;
mod faults;
mod fill;
mod keep;
mod kill;
mod ledger;
mod markets;
mod network;
mod origin;
mod outage;
mod overload;
mod pauses;
mod process;
mod recovery;
mod redundancy;
mod report;
mod service;
mod spool;
mod start;
mod status;
mod stop;
mod support;
mod turns;
mod twins;
