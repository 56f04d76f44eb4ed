//! An answer of DynamoDB as CSV.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::page::csv(data));
