//! A record of the spool.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::event::record(data));
