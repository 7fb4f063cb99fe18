//! Integration tests of kv-compaction.

mod apply;
mod busy;
mod debt;
mod drawing;
mod edit;
mod model;
mod pick;
mod picking_ends;
mod range;
mod rewriting;
mod shape;
mod store;
