//! Reads requests and writes answers, inside Lambda and outside.
//!
//! A request arrives through [`lambda`] or [`server`]. [`invocation`] gives it an id and a deadline, [`request`] reads its parameters,
//! [`token`] the place to go on from, and [`caching`] its conditions. [`response`] writes the answer with [`render`] and [`encoding`],
//! a stream with [`sse`]; whatever goes wrong is a [`problem`].

pub mod token;

pub mod problem;

pub mod encoding;
pub mod render;
pub mod sse;

pub mod request;

pub mod caching;

pub mod invocation;

pub mod lambda;
pub mod response;
pub mod server;
