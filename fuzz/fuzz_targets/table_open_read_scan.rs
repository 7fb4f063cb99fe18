//! See the module `table`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: kv_fuzz::table::Recipe| kv_fuzz::table::run(&input));
