//! libFuzzer program of [`dp_fuzz::lacp_units`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dp_fuzz::lacp_units(data));
