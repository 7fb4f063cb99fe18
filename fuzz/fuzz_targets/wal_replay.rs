//! See the module `wal_replay`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: kv_fuzz::wal_replay::Recipe| kv_fuzz::wal_replay::run(&input));
