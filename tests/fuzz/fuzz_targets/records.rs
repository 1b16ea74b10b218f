//! See `lvshift_fuzz::records`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lvshift_fuzz::records(data));
