//! libFuzzer program of [`dp_fuzz::bridge_units`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dp_fuzz::bridge_units(data));
