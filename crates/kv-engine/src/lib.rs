//! An embedded, ordered, crash-safe key-value engine.
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! use kv_engine::{Durability, Engine, KeyRange, Options, WriteBatch};
//!
//! let engine = Engine::open(directory.path(), Options::default())?;
//! engine.put(b"apple", b"red")?; // on disk when this returns
//!
//! let mut batch = WriteBatch::new();
//! batch.put(b"banana", b"yellow")?;
//! batch.delete(b"apple")?;
//! engine.write(batch, Durability::Os)?; // both or none
//!
//! assert_eq!(engine.get(b"apple")?, None);
//! for entry in engine.scan(KeyRange::all())? {
//!     let (key, value) = entry?;
//!     assert_eq!((&key[..], &value[..]), (&b"banana"[..], &b"yellow"[..]));
//! }
//! engine.close()?;
//! # Ok::<(), kv_engine::Error>(())
//! ```
//!
//! A write goes to the log, then into a memory table; a full memory table is
//! flushed to an immutable sorted table; background compactions merge tables so
//! that a read has few to ask. `docs/ARCHITECTURE.md` follows a write and a
//! read file by file.
//!
//! What it is not: a server (kv-server is), a place for async code, a store for
//! more than one process at a time.
//!
//! Invariants:
//!
//! * An acknowledged write with [`Durability::Sync`] survives any crash.
//! * After a crash the state is a prefix of the order of writes; a batch is
//!   there wholly or not at all.
//! * No read returns what a power cut could take back, except writes that asked
//!   for less than [`Durability::Sync`].
//! * Damage is reported, never served and never dropped in silence.
#![forbid(unsafe_code)]

mod acknowledge;
mod background;
mod close;
mod commit;
mod compact;
mod engine;
mod flush;
mod freeze;
mod inspect;
mod install;
mod lenient;
mod level_cursor;
mod live_table;
mod manifest;
mod manifest_load;
mod manifest_reader;
mod names;
mod options;
mod pacing;
mod poison;
mod primitives;
mod quarantine;
mod range;
mod recovery;
mod repair;
mod replay;
mod report;
mod rewrite;
mod scan;
mod scrub;
mod segment_reader;
mod segment_survey;
mod segments;
mod shared;
mod signals;
mod snapshot;
mod space;
mod stats;
mod sync;
mod verify;
mod view;
mod waiter;

pub use engine::Engine;
pub use inspect::{
    current_manifest, manifest_tables, open_table_file, read_manifest_edits, segment_names,
};
pub use kv_compaction::{RetentionRule, TableMeta, TableOrigin, VersionEdit};
pub use kv_core::{
    Error, Expectation, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES, Result, SeqNo, Value,
    WriteBatch,
};
pub use kv_env::Env;
pub use kv_sstable::{Compression, ReadMode, TableOptions};
pub use options::{Background, Durability, FlushSize, Options};
pub use range::KeyRange;
pub use repair::{
    DamagedRange, FileUse, Keep, LostWrites, ManifestState, RepairOptions, RepairReport,
    RepairedFile, RepairedKind, escape_bytes, repair,
};
pub use report::{CutTail, RecoveryReport, SegmentReport};
pub use scan::Scan;
pub use scrub::ScrubFinding;
pub use snapshot::{Snapshot, UpdateView};
pub use stats::{LevelStats, Stats};
pub use verify::{Basis, Problem, VerifiedFile, VerifyReport, verify_directory};
