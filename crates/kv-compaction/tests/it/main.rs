//! Integration tests of kv-compaction.
#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod apply;
mod busy;
mod debt;
mod drawing;
mod edit;
mod edit_records;
mod model;
mod pick;
mod picking_ends;
mod range;
mod rewriting;
mod shape;
mod store;
