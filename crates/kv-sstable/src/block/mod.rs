//! Data blocks: sorted entries with shared prefixes, found by binary search
//! or by hash.
//!
//! ```text
//! entry *      shared    varint  bytes shared with the first key of the group
//!              suffix    varint  length of the rest of the key
//!              size      varint  value length << 3 | kind
//!              seqno     varint
//!              the rest of the key, then the value
//! groups       u16 x ceil(count / interval): offset of each group's first entry
//! tags         u8 x count: low byte of the XXH3 of each entry's key, in order
//! tail         u16 count | u8 interval | u8 version, 1
//! ```
//!
//! Every `interval` entries a new group starts with `shared = 0`. Prefixes are
//! shared with the first key of the group, not with the previous key: any
//! entry can then be read with one other at hand, which makes point lookups
//! free of copies and backward steps as cheap as forward ones. Inside a group
//! `shared` never rises, because keys are sorted; the reader insists on it.
//!
//! The tags are the hash index. A lookup compares eight of them at a time and
//! looks at an entry only where the tag agrees, so it decodes one group for a
//! present key and, 255 times in 256 per entry, none for an absent one. A
//! table of buckets of the same size would have half of its keys in
//! conflicting buckets.
//!
//! Entries start below 64 KiB; a block with a longer entry holds that one
//! alone. The bytes were covered by a checksum when they were read first, yet
//! a mapped page can be read again from a device that has rotted since:
//! every access here is bounds-checked and nothing loops beyond the block.

mod builder;
mod cursor;
mod entry;
mod view;

pub(crate) use builder::BlockBuilder;
pub(crate) use cursor::BlockCursor;
pub(crate) use entry::Entry;
pub(crate) use view::{BlockLayout, BlockView};

/// Version of the block layout, in the last byte of a block.
const BLOCK_VERSION: u8 = 1;

/// Bytes of the tail.
const TAIL_BYTES: usize = 4;

/// Bits of the size field that hold the kind: all eight kinds of kv-core.
const KIND_BITS: u32 = 3;
