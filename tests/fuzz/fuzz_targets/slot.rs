//! See `lvshift_fuzz::slot`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lvshift_fuzz::slot(data));
