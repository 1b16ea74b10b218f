//! See `lvshift_fuzz::dm_table`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lvshift_fuzz::dm_table(data));
