//! Immutable sorted tables: one file of entries in key order, written once,
//! read by any number of readers.
//!
//! * [`TableBuilder`] takes entries in rising order of keys and leaves a
//!   synced, sealed file.
//! * [`Table`] answers point lookups, tells by its filter what is certainly
//!   absent, and checks itself.
//! * [`TableCursor`] walks the entries in both directions.
//! * [`TableScrub`] reads an open table from the device again, a slice at a time.
//! * [`TableSalvage`] walks what can be proven of a damaged table.
//! * [`OpenFiles`] bounds how many files of tables are open, however many tables
//!   there are.
//! * [`BlockCache`] holds decompressed and read blocks for all open tables.
//!
//! What this crate is not: it knows no levels, no versions of a key and no
//! manifest. A table holds each key once; which tables exist and which of them
//! is newer is decided above.
//!
//! ```
//! use kv_core::{Cursor, DatabaseId, FileHeader, FileKind, Kind, SeqNo};
//! use kv_env::SimDisk;
//! use kv_sstable::{
//!     BlockCache, CursorPurpose, ExpectedTable, KeyHash, ReadMode, Table, TableBuilder,
//!     TableOptions,
//! };
//!
//! let fs = SimDisk::new(1).fs();
//! let header = FileHeader {
//!     kind: FileKind::Table,
//!     database_id: DatabaseId([1; 16]),
//!     file_id: 13,
//!     file_uid: [2; 16],
//! };
//! let mut builder = TableBuilder::create(&*fs, "sst_000013.db", header, TableOptions::default())?;
//! builder.add(b"apple", SeqNo(7), Kind::Put, b"red")?;
//! builder.add(b"banana", SeqNo(5), Kind::Delete, b"")?;
//! builder.add(b"cherry", SeqNo(6), Kind::Put, b"dark red")?;
//! let summary = builder.finish()?;
//! fs.sync_dir()?;
//!
//! let expected = ExpectedTable {
//!     database_id: header.database_id,
//!     file_id: header.file_id,
//!     file_bytes: summary.file_bytes,
//! };
//! let cache = BlockCache::new(8 << 20);
//! let table = Table::open(&*fs, "sst_000013.db", expected, ReadMode::Map, cache)?;
//!
//! let hash = KeyHash::of(header.database_id, b"apple");
//! let found = table.get(b"apple", hash)?.expect("it was added");
//! assert_eq!((found.seqno, &*found.value), (SeqNo(7), &b"red"[..]));
//!
//! let mut cursor = table.cursor(CursorPurpose::Read);
//! cursor.seek_before(b"cherry")?;
//! assert_eq!((cursor.key(), cursor.kind()), (&b"banana"[..], Kind::Delete));
//! # Ok::<(), kv_core::Error>(())
//! ```
//!
//! # The file
//!
//! ```text
//! file header   80 bytes, see kv_core::FileHeader
//! block *       block (plain or compressed) and trailer of 5 bytes
//! filter        blocked Bloom filter; absent where it was not wanted
//! index         separator, length and checksum of each block
//! properties    metadata record of kv-core: TableProperties
//! footer        64 bytes: where the sections are
//! ```
//!
//! Nothing lies between the parts. All numbers are little-endian, all
//! checksums are CRC-32C seeded with the file's identity and the offset of
//! what they cover. The modules describe their parts: `block`, `compression`
//! (with the trailer), `filter`, `index`, `footer`.
//!
//! # Reading
//!
//! [`ReadMode::Map`] reads plain blocks in place and returns values as slices
//! of the map. It trusts the device: where a page cannot be read back the
//! operating system ends the process (`SIGBUS`), and the checksum of a block is
//! verified once per open table. [`ReadMode::Pread`] copies blocks into the
//! cache, verifies each copy, and reports errors of the device as errors.
//! Background cursors and [`Table::verify`] read by `pread` in both modes.
//!
//! # Invariants
//!
//! * No bytes of a file cause a panic, an endless loop or more memory than the
//!   file justifies: a compressed block asks for 16 MiB at most, all else is
//!   bounded by the length of the file.
//! * Damage is an error that names file and offset; it never is a wrong answer
//!   and never hides what other blocks hold.
//! * A file that was not finished has no footer and is never taken for a
//!   table.
//! * A sealed file never changes.
#![forbid(unsafe_code)]

mod block;
mod builder;
mod cache;
mod compression;
mod cursor;
mod defect;
mod file;
mod filter;
mod footer;
mod index;
mod key_hash;
mod open_files;
mod options;
mod output;
mod prefix;
mod properties;
mod readahead;
mod salvage;
mod scrub;
mod table;
mod verify;

pub use builder::TableBuilder;
pub use cache::BlockCache;
pub use cursor::{CursorPurpose, TableCursor};
pub use key_hash::KeyHash;
pub use open_files::OpenFiles;
pub use options::{Compression, TableOptions};
pub use properties::{TableProperties, TableSummary};
pub use salvage::{TableDamage, TableSalvage};
pub use scrub::{DamagedPart, ScrubProgress, TableScrub};
pub use table::{ExpectedTable, ReadMode, Table};
pub use verify::VerifyReport;
