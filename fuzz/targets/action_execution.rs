//! libFuzzer program of [`dp_fuzz::action_execution`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dp_fuzz::action_execution(data));
