//! Integration tests of the memory table.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod concurrent;
mod families;
#[cfg(not(miri))]
#[allow(dead_code, reason = "the model runs part of the source that it compiles")]
mod loom_model;
mod memory;
mod model;
