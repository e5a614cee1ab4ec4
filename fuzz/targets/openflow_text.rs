//! libFuzzer program of [`dp_fuzz::openflow_text`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dp_fuzz::openflow_text(data));
