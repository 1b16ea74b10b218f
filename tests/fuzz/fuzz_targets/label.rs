//! See `lvshift_fuzz::label`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lvshift_fuzz::label(data));
