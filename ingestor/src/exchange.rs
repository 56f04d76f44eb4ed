//! The way to the exchange, for whoever asks it.
//!
//! [`network`] opens WebSocket connections and holds the TLS settings of both APIs. [`rest`] sends the requests of the whole daemon, one
//! at a time; [`json_array`] cuts an answer into its elements while it arrives. [`markets`] reads which markets there are.

pub mod json_array;
pub mod markets;
pub mod network;
pub mod rest;
