//! Fuzz targets: each module has one entry, `run`, which the file of the same
//! name in `fuzz_targets/` hands to libFuzzer.
//!
//! Checksums keep random bytes away from what is behind them. So the targets of
//! files take a recipe, not a file: they build a sound file, damage it, and put
//! the checksums right again where the recipe says so ([`log_forge`],
//! [`table_forge`]). A part of every recipe is raw bytes all the same.
#![deny(unsafe_code)]

pub mod allocation;
pub mod codec;
pub mod config;
pub mod damage;
pub mod engine_ops;
pub mod glob;
pub mod log_forge;
pub mod manifest_replay;
pub mod repair;
pub mod resp;
pub mod resp_conn;
pub mod resp_reference;
pub mod section;
pub mod specimen;
pub mod table;
pub mod table_forge;
pub mod wal_replay;

use kv_core::Error;

/// Asserts that an error is what damaged bytes may cause: a sentence that
/// names the file.
pub fn assert_is_damage(error: &Error) {
    let (Error::Corruption { file, .. } | Error::Unsupported { file, .. }) = error else {
        panic!("not a report of damage: {error}");
    };
    assert!(!file.is_empty() && !error.to_string().is_empty());
}
