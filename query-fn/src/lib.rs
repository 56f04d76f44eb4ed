//! Serves the table's events by channel and time range over HTTP: one axum router, the same inside Lambda and outside.
//!
//! A request passes the rooms in this order: [`http`] reads it, [`routes`] picks the handler, the handler asks [`query`] for what the
//! table holds in a [`range`], and [`http`] writes the answer.
//!
//! Modules are declared in the order in which they may depend on each other: a module uses only those declared before it.
//! `scripts/check.sh` checks that.
#![warn(missing_docs, clippy::missing_errors_doc)]

pub mod config;

pub mod range;

pub mod query;

pub mod http;

pub mod routes;
