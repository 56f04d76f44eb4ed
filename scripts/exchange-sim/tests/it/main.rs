//! One binary for all tests that use the crate as its users do.

mod faults;
mod flow;
mod program;
mod recording;
mod rest;
mod support;
mod truth;
mod websocket;
