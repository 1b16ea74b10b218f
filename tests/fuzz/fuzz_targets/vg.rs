//! See `lvshift_fuzz::vg`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lvshift_fuzz::vg(data));
