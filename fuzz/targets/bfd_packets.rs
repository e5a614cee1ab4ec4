//! libFuzzer program of [`dp_fuzz::bfd_packets`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dp_fuzz::bfd_packets(data));
