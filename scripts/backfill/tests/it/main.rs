//! The program as its users run it, against a real engine over real sockets.
//!
//! Larger runs by hand: `BACKFILL_ITEMS=1000000 cargo test --release -p backfill --test it -- --nocapture race`. With
//! `DYNAMODB_LOCAL_JAR` naming DynamoDB Local's jar the same runs against that engine too.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test ends at the first thing that goes wrong and prints its seed and figures"
)]

mod conditions;
mod ended;
mod faults;
mod fixture;
mod guards;
mod live;
mod race;
mod support;
mod values;
