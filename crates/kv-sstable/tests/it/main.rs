#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]
//! Tests of tables through the public interface.

mod memory_fs;
mod model;
mod support;
