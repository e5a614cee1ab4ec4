//! libFuzzer program of [`dp_fuzz::flow_masks`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dp_fuzz::flow_masks(data));
