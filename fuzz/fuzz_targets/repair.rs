//! See the module `repair`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: kv_fuzz::repair::Recipe| kv_fuzz::repair::run(&input));
