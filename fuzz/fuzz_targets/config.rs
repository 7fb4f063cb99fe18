//! See the module `config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: kv_fuzz::config::Input| kv_fuzz::config::run(&input));
