//! libFuzzer program of [`dp_fuzz::ct_fragments`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dp_fuzz::ct_fragments(data));
