//! libFuzzer program of [`dp_fuzz::datapath_action_text`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dp_fuzz::datapath_action_text(data));
