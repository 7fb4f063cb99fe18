//! See the module `glob`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: kv_fuzz::glob::Input| kv_fuzz::glob::run(&input));
