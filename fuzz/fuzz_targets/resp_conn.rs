//! See the module `resp_conn`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| kv_fuzz::resp_conn::run(input));
