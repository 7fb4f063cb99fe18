//! See the module `resp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| kv_fuzz::resp::run(input));
