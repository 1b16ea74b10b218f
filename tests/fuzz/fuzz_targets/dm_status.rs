//! See `lvshift_fuzz::dm_status`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lvshift_fuzz::dm_status(data));
