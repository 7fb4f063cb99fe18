//! The ordered in-memory table of the kv engine: one writer, many readers.
//!
//! [`Memtable::create`] returns the table that readers share and the one
//! [`MemtableWriter`] that may insert. Every version of a key is kept until the
//! whole table is dropped; readers ask for the state at a sequence number.
//!
//! It does not know the log, files, or when to flush.
//!
//! ```
//! use kv_core::{Cursor, Kind, SeqNo};
//! use kv_memtable::{ArenaPool, Memtable};
//!
//! let pool = ArenaPool::new(64 << 20);
//! let (table, mut writer) = Memtable::create(&pool, SeqNo(0));
//! writer.insert(SeqNo(1), Kind::Put, b"apple", b"green");
//! writer.insert(SeqNo(2), Kind::Put, b"apple", b"red");
//! table.publish(SeqNo(1));
//!
//! let seen = table.get(b"apple", table.visible()).expect("published");
//! assert_eq!((seen.seqno, &*seen.value), (SeqNo(1), &b"green"[..]));
//! assert_eq!(table.newest_seqno(b"apple"), Some(SeqNo(2)));
//!
//! let mut cursor = table.cursor();
//! cursor.seek_to_first()?;
//! assert_eq!((cursor.key(), cursor.seqno()), (&b"apple"[..], SeqNo(2)));
//! cursor.next()?;
//! assert_eq!(cursor.seqno(), SeqNo(1));
//! # Ok::<(), kv_core::Error>(())
//! ```
//!
//! # Invariants
//!
//! * Sequence numbers rise with every insert; the visible number only rises.
//! * What was inserted never changes and stays until the table is dropped; a
//!   pinned value keeps its own memory longer.
//! * A read that starts after an insert has returned sees it, if it asks for its
//!   number. Cursors stay in order and miss nothing of that kind, whatever the
//!   writer does meanwhile.
//! * Readers write nothing that the writer or other readers wait for.
//! * All `unsafe` is in `arena.rs`.

mod arena;
mod cursor;
mod directory;
mod memtable;
mod node;
mod optimistic_lock;
mod pool;
mod sizes;
mod sorted_keys;
mod split;
mod sync;
mod tree;
mod tree_writer;
mod visible_cursor;

pub use cursor::MemtableCursor;
pub use memtable::{Memtable, MemtableWriter};
pub use pool::ArenaPool;
pub use visible_cursor::VisibleCursor;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
