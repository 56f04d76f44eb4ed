//! An answer of the exchange's history.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::event::history(data));
