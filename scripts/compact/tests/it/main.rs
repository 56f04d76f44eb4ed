//! The program as its users run it, against a real engine over real sockets; and its steps one by one, where somebody else has to come
//! in between.
//!
//! Larger runs by hand: `COMPACT_EVENTS=1000000 cargo test --release -p compact --test it -- --nocapture killed`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test ends at the first thing that goes wrong and prints its seed and figures"
)]

#[path = "../../../backfill/tests/it/ended.rs"]
mod ended;
#[path = "../../../../query-fn/tests/it/flows.rs"]
#[expect(dead_code, reason = "the tests of the query API use more of it")]
mod flows;
#[path = "../../../../query-fn/tests/it/table.rs"]
mod table;

mod between;
mod damage;
mod equality;
mod faults;
mod guards;
mod kills;
mod plan;
mod support;
