//! libFuzzer program of [`dp_fuzz::lldp`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dp_fuzz::lldp(data));
