//! One binary for all tests that use the crate as its users do.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that panics has failed, and helpers of tests are tests too"
)]

mod clients;
mod faults;
mod flow;
mod program;
mod recording;
mod rest;
mod support;
mod truth;
mod websocket;
