//! The operators' items: one item of the table is read, created, updated or deleted, and every change is recorded beside it.
//!
//! A request passes the modules in this order: [`routes`] takes it, [`request`] reads it with [`form`] and [`expression`], [`change`] does it in
//! the [`store`] with its [`audit`] item, and the answer is written in the [`form`] of the request.
//!
//! Modules are declared in the order in which they may depend on each other: a module uses only those declared before it.
//! `scripts/check.sh` checks that.
#![warn(missing_docs, clippy::missing_errors_doc)]

pub mod form;

pub mod item;

pub mod expression;

pub mod audit;

pub mod store;

pub mod request;

pub mod change;

pub mod routes;
