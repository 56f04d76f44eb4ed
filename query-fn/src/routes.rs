//! What each path does, and the service that they make.

mod app;

mod context;
mod fields;

mod about;
mod candles;
mod channels;
mod count;
mod coverage;
mod events;
mod export;
mod tail;

mod explorer;

mod router;

pub use router::{PATHS, router, without_stage};
