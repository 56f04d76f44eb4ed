//! Every fault must arrive at the SDK as the error kind it stands for: real client, real sockets, real engine.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test ends at the first thing that goes wrong and prints its seed"
)]

mod budgets;
mod down;
mod faults;
mod program;
mod support;
