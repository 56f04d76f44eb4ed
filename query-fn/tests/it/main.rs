//! The router over real sockets, on the embedded store.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod basics;
mod contract;
mod cutter;
mod faults;
mod formats;
mod lambda;
mod lists;
mod pages;
mod reading;
mod support;
