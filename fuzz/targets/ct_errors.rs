//! libFuzzer program of [`dp_fuzz::ct_errors`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dp_fuzz::ct_errors(data));
