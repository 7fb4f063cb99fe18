//! Data blocks: sorted entries with shared prefixes, found by binary search
//! or by hash.
//!
//! ```text
//! entry *      shared    varint  bytes shared with the first key of the group
//!              suffix    varint  length of the rest of the key
//!              size      varint  value length << 3 | kind
//!              seqno     varint
//!              the rest of the key, then the value
//! offsets      u16 x count: where each entry starts
//! tags         u8 x count: low byte of the KeyHash of each entry's key
//! tail         u16 count | u8 interval | u8 version, 1
//! ```
//!
//! Entries 0, interval, 2 x interval... start a group with `shared = 0`.
//! Prefixes are shared with the first key of the group, not with the previous
//! key, and every entry has its offset: any entry can be read with one other
//! at hand, so a point lookup copies nothing and a step back costs what a step
//! forward does. Inside a group `shared` never rises, because keys are sorted;
//! a cursor insists on it.
//!
//! The tags are the hash index. A lookup compares eight of them at a time and
//! looks at an entry only where the tag agrees, so it decodes one entry and
//! the first of its group for a present key and, 255 times in 256 per entry,
//! none for an absent one. A table of buckets of the same size would have half
//! of its keys in conflicting buckets.
//!
//! Entries start below 64 KiB; a block with a longer entry holds that one
//! alone. The bytes were covered by a checksum when they were read first, yet
//! a mapped page can be read again from a device that has rotted since:
//! every access here is bounds-checked and no loop outlasts the entry count.

mod builder;
mod cursor;
mod entry;
mod varint;
mod view;

pub(crate) use builder::BlockBuilder;
pub(crate) use cursor::BlockCursor;
pub(crate) use entry::{Entry, entry_claim};
pub(crate) use view::{BlockLayout, BlockView};

/// Version of the block layout, in the last byte of a block.
const BLOCK_VERSION: u8 = 1;

/// Bytes of the tail.
const TAIL_BYTES: usize = 4;

/// Bytes of the offset and the tag of an entry.
const SLOT_BYTES: usize = 2 + 1;

/// Bits of the size field that hold the kind: all eight kinds of kv-core.
const KIND_BITS: u32 = 3;
