//! See `lvshift_fuzz::choose`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lvshift_fuzz::choose(data));
