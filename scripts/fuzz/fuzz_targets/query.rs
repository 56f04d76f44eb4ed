//! A query string with headers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::request::query(data));
