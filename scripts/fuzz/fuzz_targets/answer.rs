//! An answer of DynamoDB.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::page::answer(data));
