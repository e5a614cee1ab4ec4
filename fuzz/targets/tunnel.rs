//! libFuzzer program of [`dp_fuzz::tunnel`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dp_fuzz::tunnel(data));
