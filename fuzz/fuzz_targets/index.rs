//! See the module `section`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| kv_fuzz::section::run_index(input));
