//! The function as it runs in Lambda, and its service on real sockets, on the embedded store.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod audit;
mod blocks;
mod expressions;
mod faults;
mod first_system;
mod operations;
mod races;
mod refusals;
#[path = "../../../tests/it/runtime.rs"]
mod runtime;
mod support;
#[path = "../../../tests/it/table.rs"]
mod table;
