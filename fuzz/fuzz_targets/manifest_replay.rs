//! See the module `manifest_replay`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: kv_fuzz::manifest_replay::Recipe| {
    kv_fuzz::manifest_replay::run(&input)
});
