//! libFuzzer program of [`dp_fuzz::meter`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dp_fuzz::meter(data));
