//! A message of the exchange.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::event::frame(data));
