//! libFuzzer program of [`dp_fuzz::wire_headers`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dp_fuzz::wire_headers(data));
