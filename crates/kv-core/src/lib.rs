//! The vocabulary that all crates of the kv engine share: pure values, no
//! files, no threads, no clock.
//!
//! * [`WriteBatch`] is what a caller writes and what the log stores.
//! * [`SeqNo`], [`Kind`], [`FoundEntry`] and [`Value`] are what a reader finds.
//! * [`Cursor`] walks entries in order; [`MergeCursor`] makes one of many.
//! * [`Decoder`] reads untrusted bytes; [`ChecksumSeed`] and [`FileHeader`] tie
//!   them to their place.
//! * [`Error`] says what the caller must do.
//!
//! ```
//! use kv_core::{Cursor, Kind, MergeCursor, OwnedEntry, SeqNo, VecCursor};
//!
//! let entry = |key: &str, seqno| OwnedEntry {
//!     key: key.into(), seqno: SeqNo(seqno), kind: Kind::Put, value: vec![],
//! };
//! let newer = VecCursor::new(vec![entry("b", 7)]);
//! let older = VecCursor::new(vec![entry("a", 1), entry("b", 2)]);
//! let mut merged = MergeCursor::new(vec![newer, older]);
//! merged.seek(b"b")?;
//! assert_eq!((merged.key(), merged.seqno()), (&b"b"[..], SeqNo(7)));
//! # Ok::<(), kv_core::Error>(())
//! ```
//!
//! Invariants: decoding never panics and never allocates more than the input
//! justifies; an encoded batch decodes to the same writes; keys compare
//! bytewise.
#![forbid(unsafe_code)]

mod batch;
mod bounded;
mod checksum;
mod codec;
mod cursor;
mod entry;
mod error;
mod header;
mod limits;
mod merge;
mod metadata;
mod value;
mod vec_cursor;

pub use batch::{BatchOp, BatchOps, BatchOpsIter, DecodedBatch, Expectation, WriteBatch};
pub use bounded::{bounded_bytes, bounded_list, bounded_properties};
pub use checksum::ChecksumSeed;
pub use codec::{Decoder, MAX_VARINT_BYTES, put_varint, varint_len};
pub use cursor::Cursor;
pub use entry::{FoundEntry, KeyspaceId, Kind, SeqNo};
pub use error::{Error, Result};
pub use header::{DatabaseId, FILE_HEADER_BYTES, FORMAT_VERSION, FileHeader, FileKind};
pub use limits::{
    MAX_BATCH_BYTES, MAX_BATCH_OPS, MAX_KEY_BYTES, MAX_VALUE_BYTES, check_key, check_value,
};
pub use merge::MergeCursor;
pub use metadata::{MAX_METADATA_BYTES, decode_metadata, encode_metadata};
pub use value::{Pinned, Value};
pub use vec_cursor::{OwnedEntry, VecCursor};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
