//! Tests of tables through the public interface.

mod memory_fs;
mod model;
mod support;
