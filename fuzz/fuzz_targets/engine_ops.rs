//! See the module `engine_ops`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: kv_fuzz::engine_ops::History| kv_fuzz::engine_ops::run(&input));
