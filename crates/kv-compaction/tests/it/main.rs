//! Integration tests of kv-compaction.

mod apply;
mod busy;
mod debt;
mod drawing;
mod edit;
mod model;
mod pick;
mod range;
mod shape;
mod store;
