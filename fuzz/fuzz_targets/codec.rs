//! See the module `codec`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: kv_fuzz::codec::Input| kv_fuzz::codec::run(&input));
