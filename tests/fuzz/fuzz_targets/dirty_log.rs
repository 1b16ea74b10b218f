//! See `lvshift_fuzz::dirty_log`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lvshift_fuzz::dirty_log(data));
