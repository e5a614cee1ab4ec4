//! libFuzzer program of [`dp_fuzz::cfm_messages`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dp_fuzz::cfm_messages(data));
