//! The router over real sockets, on the embedded store.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod basics;
mod blocks;
mod clients;
mod contract;
mod count;
mod cutter;
mod days;
mod equality;
mod explorer;
mod export;
mod faults;
mod flows;
mod formats;
mod gaps;
mod keep;
mod lambda;
mod lists;
mod load;
mod meter;
mod pages;
mod readers;
mod reading;
mod runtime;
mod server;
mod several;
mod support;
mod table;
mod tail;
mod units;
mod viewer;
