//! The local system as its user meets it: what was sent comes back over HTTP; what is in the way is said in one sentence.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "figures belong into the output of a test")]

mod program;
mod roundtrip;
