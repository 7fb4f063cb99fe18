//! The shape of the tree, the policy that picks compactions, and the rewrite
//! that carries them out.
//!
//! * [`Version`] is the tree at one moment: [`TableMeta`]s in levels. A
//!   [`VersionEdit`] leads to the next one.
//! * [`pick`] decides what to compact: a function from values to a [`Plan`].
//!   [`RangeCompaction`] decides for a caller who asked for a range, and
//!   [`debt_bytes`] says how much there is to do.
//! * [`Busy`] keeps plans that run at the same time apart.
//!
//! It knows no threads, no clock and no manifest file, and it decides nothing
//! about when to install what it has written.
//!
//! Invariants: runs (levels below 0) are disjoint; a newer version of a key is
//! never deeper than an older one; a delete is dropped only where nothing
//! deeper can hold its key; no table is in two running plans; picking ends.
#![forbid(unsafe_code)]

mod apply;
mod busy;
mod cut;
mod debt;
mod edit;
mod key_span;
mod level0;
mod outputs;
mod pick;
mod picker;
mod plan;
mod policy;
mod range_compaction;
mod retention;
mod rewrite;
mod shape;
mod table_meta;
mod version;

pub use busy::Busy;
pub use debt::debt_bytes;
pub use edit::VersionEdit;
pub use key_span::{KeyBounds, KeyCoverage, KeySpan};
pub use pick::{pick, pick_idle};
pub use plan::{Grandparent, Plan, Reason};
pub use policy::Policy;
pub use range_compaction::{RangeCompaction, RangePick};
pub use retention::{Fate, RetentionRule, fate};
pub use rewrite::{RewriteContext, RewriteOptions, Rewritten, rewrite};
pub use shape::shape_text;
pub use table_meta::{TableMeta, TableOrigin, TableRef, TableSlice};
pub use version::{LAST_LEVEL, LEVELS, LevelTables, Version};
