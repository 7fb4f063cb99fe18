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
//! * [`rewrite`] carries out flushes and plans: entries in, tables out.
//!
//! It knows no threads, no clock and no manifest file: when a plan runs and
//! when its edit is installed is up to the caller.
//!
//! ```
//! use std::sync::{Arc, atomic::AtomicBool};
//!
//! use kv_compaction::{
//!     Busy, Policy, RewriteContext, RewriteOptions, TableMeta, Version, VersionEdit, pick, rewrite,
//! };
//! use kv_core::{DatabaseId, FileHeader, FileKind, Kind, OwnedEntry, SeqNo, VecCursor};
//! use kv_sstable::TableOptions;
//!
//! let fs = kv_env::SimDisk::new(1).fs();
//! let policy = Policy { level0_trigger: 2, ..Policy::default() };
//! let database_id = DatabaseId([7; 16]);
//! let mut file_id = 0;
//! let mut allocate = || {
//!     file_id += 1;
//!     Ok(FileHeader { kind: FileKind::Table, database_id, file_id, file_uid: [1; 16] })
//! };
//!
//! // Two flushes of a memory table with one entry each.
//! let mut version = Version::<TableMeta>::new();
//! for seqno in [SeqNo(1), SeqNo(2)] {
//!     let entry = OwnedEntry { key: "apple".into(), seqno, kind: Kind::Put, value: vec![1] };
//!     let options = RewriteOptions::flush(TableOptions::default(), &policy);
//!     let cancel = AtomicBool::new(false);
//!     let context =
//!         RewriteContext { fs: &*fs, allocate: &mut allocate, retention: None, cancel: &cancel };
//!     let flushed = rewrite(VecCursor::new(vec![entry]), &options, context)?;
//!     let tables = flushed.expect("nobody cancels").tables;
//!     let added = tables.into_iter().map(|meta| (0, meta)).collect();
//!     let edit = VersionEdit { added, ..VersionEdit::default() };
//!     version = version.apply(&edit, |meta| Ok(Arc::new(meta.clone())))?;
//! }
//!
//! let plan = pick(&version, &policy, &Busy::default()).expect("level 0 is full");
//! assert_eq!(plan.to_string(), "L0 -> L1 rewrite L0: 2 1 [apple..apple] (level 0 is full)");
//! assert!(plan.below.is_nothing(), "deletes can be dropped");
//! # Ok::<(), kv_core::Error>(())
//! ```
//!
//! Invariants: runs (levels below 0) are disjoint; a newer version of a key is
//! never deeper than an older one; a delete is dropped only where nothing
//! deeper can hold its key; no table is in two running plans; picking ends; a
//! rewrite that fails leaves no file and passes no damage on.
#![forbid(unsafe_code)]

mod apply;
mod busy;
mod cut;
mod debt;
mod edit;
mod edit_records;
mod fences;
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
pub use edit_records::EditAssembly;
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
