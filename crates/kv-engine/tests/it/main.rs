//! Tests of the engine as its users see it: on real directories, and on a
//! simulated disk that can lose power at any operation.

#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod bad_directory;
mod basics;
mod concurrency;
mod conditional;
mod damage;
mod descriptors;
mod failing_disk;
mod flips;
mod forged_manifest;
mod format;
mod full_disk;
mod model;
mod panics;
mod repair;
mod sample_run;
mod support;
