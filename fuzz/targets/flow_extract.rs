//! libFuzzer program of [`dp_fuzz::flow_extract`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dp_fuzz::flow_extract(data));
