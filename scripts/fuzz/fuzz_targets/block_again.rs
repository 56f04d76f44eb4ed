//! A forged block, encoded again and carried through the table.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::block::again(data));
