//! The side that clients see: one port for the REST and the WebSocket interface.

pub(crate) mod listener;
mod rest;
mod websocket;
