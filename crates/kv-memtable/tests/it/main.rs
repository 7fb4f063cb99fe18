//! Integration tests of the memory table.

mod model;
