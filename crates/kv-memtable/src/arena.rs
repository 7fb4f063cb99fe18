// This file holds all the `unsafe` of the crate.
//! Append-only memory for keys and versions, and the references to it.
//!
//! ```text
//! key      0  8  newest version   atomic reference
//!          8     the first version
//! version  0  8  link             first version: key length << 3 | 1,
//!                                 others: reference to the next older one
//!          8  8  seqno << 8 | kind
//!          16 4  value length     u32, top bit: the value has its own chunk
//!          20    key              first version only
//!          ..    value, or the index of its chunk as u32; padded to 8 bytes
//! ```
//!
//! All that a get compares and follows stands in the first bytes of a key, and
//! where a key has one version its value is right behind: one or two cache
//! misses.
//!
//! # Why this is sound
//!
//! 1. *Nothing moves or goes.* A chunk lives until its [`Arena`] and the last
//!    value pinned to it are dropped, and all access goes through one of them.
//! 2. *Bytes are written once, before anybody can know of them.* Only
//!    [`ArenaWriter`] writes, only behind everything it has handed out; it is not
//!    `Clone` and takes `&mut self`. The one field written later, the newest
//!    version, is an atomic and never covered by a plain reference.
//! 3. *Whoever holds a reference may read the record.* [`KeyRef`] and
//!    [`VersionRef`] cannot be made outside this file. They reach another thread
//!    through [`KeyCell`] or a record's newest version, which are stored with
//!    `Release` and loaded with `Acquire`, or through safe Rust, which
//!    synchronises as well. So the writes of point 2 happen before the reads.
//! 4. *References stay with their arena*: a tree has one arena and no way to
//!    hand a reference to another tree. Should that ever break, the range of
//!    every access is still checked against its chunk.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kv_core::{Kind, MAX_KEY_BYTES, MAX_VALUE_BYTES, Pinned, SeqNo, Value};

use crate::directory::Directory;
use crate::pool::ArenaPool;

/// Size of a chunk: large enough that the list of chunks stays short, small
/// enough that the unused end of the last one does not matter.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;
/// From here on a value gets a chunk of its own, which bounds the end of a
/// chunk that is lost because the next record does not fit.
const OWN_CHUNK_VALUE_BYTES: usize = 64 << 10;
/// From here on a value is returned pinned: copying it would cost more than the
/// reference count, and it is large enough to be worth the chunk it holds.
const PINNED_VALUE_BYTES: usize = 1 << 10;

/// Bytes of a key before its first version.
const NEWEST_BYTES: usize = 8;
const VERSION_HEADER_BYTES: usize = 20;
const OWN_CHUNK_FLAG: u32 = 1 << 31;
const RECORD_ALIGN: usize = 8;

const _: () = assert!(MAX_VALUE_BYTES < OWN_CHUNK_FLAG as usize);
const _: () = assert!(
    NEWEST_BYTES + VERSION_HEADER_BYTES + MAX_KEY_BYTES + OWN_CHUNK_VALUE_BYTES + RECORD_ALIGN
        <= CHUNK_BYTES
);

/// An owned piece of memory whose bytes are initialised.
pub(crate) struct Memory {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the memory is owned like that of a `Box<[u8]>`.
unsafe impl Send for Memory {}

impl Memory {
    /// Memory of `bytes` zeros, at least one, aligned for a record.
    pub(crate) fn zeroed(bytes: usize) -> Memory {
        let layout = Self::layout(bytes);
        // SAFETY: the layout is not of size zero.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout));
        Memory { start, bytes }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn layout(bytes: usize) -> Layout {
        assert!(bytes > 0, "a chunk holds something");
        Layout::from_size_align(bytes, RECORD_ALIGN).expect("a chunk is far below isize::MAX")
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout, and owned by nobody else.
        unsafe { dealloc(self.start.as_ptr(), Self::layout(self.bytes)) };
    }
}

/// Memory in use; it goes back to the pool when nobody reads it any more.
struct Chunk {
    start: NonNull<u8>,
    bytes: usize,
    pool: ArenaPool,
}

// SAFETY: see the module: shared bytes are immutable or atomic.
unsafe impl Send for Chunk {}
// SAFETY: as above.
unsafe impl Sync for Chunk {}

impl Chunk {
    fn new(memory: Memory, pool: ArenaPool) -> Arc<Chunk> {
        let memory = std::mem::ManuallyDrop::new(memory);
        Arc::new(Chunk { start: memory.start, bytes: memory.bytes, pool })
    }

    /// The address of `offset`, behind which `bytes` bytes are inside the chunk.
    #[inline]
    fn address(&self, offset: usize, bytes: usize) -> NonNull<u8> {
        assert!(offset + bytes <= self.bytes, "a record lies inside its chunk");
        // SAFETY: the offset is inside the allocation.
        unsafe { self.start.add(offset) }
    }

    /// Bytes written before the caller could know of them.
    #[inline]
    fn slice(&self, offset: usize, bytes: usize) -> &[u8] {
        // SAFETY: inside the chunk; points 1 and 2 of the module.
        unsafe { std::slice::from_raw_parts(self.address(offset, bytes).as_ptr(), bytes) }
    }

    /// Bytes written like those of [`Chunk::slice`].
    #[inline]
    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        *self.slice(offset, N).first_chunk().expect("a slice has the length asked for")
    }

    /// The fixed part of the version at `offset`.
    #[inline]
    fn header(&self, offset: usize) -> Header {
        Header {
            link: u64::from_ne_bytes(self.array(offset)),
            stamp: u64::from_ne_bytes(self.array(offset + 8)),
            value_word: u32::from_ne_bytes(self.array(offset + 16)),
        }
    }

    /// The atomic number at `offset`, a multiple of eight.
    #[inline]
    fn atomic(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(RECORD_ALIGN), "records are aligned");
        // SAFETY: inside the chunk and aligned, because chunks are; nobody makes
        // a plain reference to this field (point 2 of the module).
        unsafe { self.address(offset, size_of::<AtomicU64>()).cast().as_ref() }
    }

    /// Writes to bytes that nobody knows of yet.
    ///
    /// # Safety
    /// The caller is the arena's only writer, and `offset` is behind everything
    /// that it has handed out.
    unsafe fn write(&self, offset: usize, bytes: &[u8]) {
        let to = self.address(offset, bytes.len());
        // SAFETY: inside the chunk, and `bytes` cannot overlap with memory that
        // no reference covers.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), bytes.len()) };
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.pool.give_back(Memory { start: self.start, bytes: self.bytes });
    }
}

/// Part of a chunk kept alive for a reader.
struct PinnedBytes {
    chunk: Arc<Chunk>,
    offset: usize,
    bytes: usize,
}

impl Pinned for PinnedBytes {
    fn bytes(&self) -> &[u8] {
        self.chunk.slice(self.offset, self.bytes)
    }
}

/// Chunk index + 1 in the upper half, offset in the lower; 0 stands for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Address(u64);

impl Address {
    #[inline]
    fn new(chunk: u32, offset: usize) -> Address {
        let offset = u32::try_from(offset).expect("chunks are below 4 GiB");
        Address((u64::from(chunk) + 1) << 32 | u64::from(offset))
    }
    #[inline]
    fn chunk(self) -> u32 {
        ((self.0 >> 32) - 1) as u32
    }
    #[inline]
    fn offset(self) -> usize {
        self.0 as u32 as usize
    }
}

/// A key with its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyRef(Address);

/// One version of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VersionRef(Address);

/// The fixed part of a version.
#[derive(Clone, Copy)]
struct Header {
    link: u64,
    stamp: u64,
    value_word: u32,
}

impl Header {
    #[inline]
    fn seqno(self) -> SeqNo {
        SeqNo(self.stamp >> 8)
    }
    /// Bytes of the key inside this version.
    #[inline]
    fn key_bytes(self) -> usize {
        if self.link & 1 == 1 { (self.link >> 3) as usize } else { 0 }
    }
    #[inline]
    fn older(self) -> Option<VersionRef> {
        (self.link & 1 == 0).then_some(VersionRef(Address(self.link)))
    }
}

/// A place where the writer leaves a key for the readers.
pub(crate) struct KeyCell(AtomicU64);

impl KeyCell {
    pub(crate) fn empty() -> KeyCell {
        KeyCell(AtomicU64::new(0))
    }
    #[inline]
    pub(crate) fn load(&self) -> Option<KeyRef> {
        let address = self.0.load(Ordering::Acquire);
        (address != 0).then_some(KeyRef(Address(address)))
    }
    #[inline]
    pub(crate) fn store(&self, key: KeyRef) {
        self.0.store(key.0.0, Ordering::Release);
    }
}

/// What is known of a version.
pub(crate) struct Version<'a> {
    pub(crate) seqno: SeqNo,
    pub(crate) kind: Kind,
    pub(crate) value: &'a [u8],
    pub(crate) older: Option<VersionRef>,
}

/// The memory of one memory table as its readers see it.
pub(crate) struct Arena {
    chunks: Directory<Arc<Chunk>>,
}

impl Arena {
    /// An empty arena and its only writer.
    pub(crate) fn create(pool: &ArenaPool) -> (Arc<Arena>, ArenaWriter) {
        let arena = Arc::new(Arena { chunks: Directory::new() });
        let writer = ArenaWriter {
            arena: Arc::clone(&arena),
            pool: pool.clone(),
            chunk: None,
            next_offset: 0,
            next_index: 0,
            used_bytes: 0,
        };
        (arena, writer)
    }

    /// The bytes of a key.
    #[inline]
    pub(crate) fn key(&self, key: KeyRef) -> &[u8] {
        let (chunk, offset) = self.locate(key.0);
        let first = offset + NEWEST_BYTES;
        chunk.slice(first + VERSION_HEADER_BYTES, chunk.header(first).key_bytes())
    }

    /// The newest version of a key.
    #[inline]
    pub(crate) fn newest(&self, key: KeyRef) -> VersionRef {
        let (chunk, offset) = self.locate(key.0);
        VersionRef(Address(chunk.atomic(offset).load(Ordering::Acquire)))
    }

    /// The newest version of a key that is not newer than `at`.
    #[inline]
    pub(crate) fn version_at(&self, key: KeyRef, at: SeqNo) -> Option<VersionRef> {
        let mut next = Some(self.newest(key));
        while let Some(version) = next {
            let (chunk, offset) = self.locate(version.0);
            let header = chunk.header(offset);
            if header.seqno() <= at {
                return Some(version);
            }
            next = header.older();
        }
        None
    }

    /// A version; its value is not touched.
    #[inline]
    pub(crate) fn version(&self, version: VersionRef) -> Version<'_> {
        let (header, chunk, start, bytes) = self.open(version);
        Version {
            seqno: header.seqno(),
            kind: Kind::from_byte(header.stamp as u8).expect("the writer stored a kind"),
            value: chunk.slice(start, bytes),
            older: header.older(),
        }
    }

    /// The value of a version, to outlive the arena: copied if it is small.
    #[inline]
    pub(crate) fn value(&self, version: VersionRef) -> Value {
        let (_, chunk, offset, bytes) = self.open(version);
        if bytes < PINNED_VALUE_BYTES {
            return Value::copy_of(chunk.slice(offset, bytes));
        }
        let chunk = Arc::clone(chunk);
        Value::pinned(Arc::new(PinnedBytes { chunk, offset, bytes }), 0, bytes)
    }

    /// A version's fixed part and where its value is: chunk, offset, length.
    #[inline]
    fn open(&self, version: VersionRef) -> (Header, &Arc<Chunk>, usize, usize) {
        let (chunk, offset) = self.locate(version.0);
        let header = chunk.header(offset);
        let start = offset + VERSION_HEADER_BYTES + header.key_bytes();
        let bytes = (header.value_word & !OWN_CHUNK_FLAG) as usize;
        if header.value_word & OWN_CHUNK_FLAG == 0 {
            return (header, chunk, start, bytes);
        }
        let own = u32::from_ne_bytes(chunk.array(start));
        (header, self.chunks.get(own), 0, bytes)
    }

    #[inline]
    fn locate(&self, address: Address) -> (&Arc<Chunk>, usize) {
        (self.chunks.get(address.chunk()), address.offset())
    }
}

/// The one writer of an [`Arena`].
pub(crate) struct ArenaWriter {
    arena: Arc<Arena>,
    pool: ArenaPool,
    /// The chunk being filled, and its index.
    chunk: Option<(Arc<Chunk>, u32)>,
    next_offset: usize,
    next_index: u32,
    used_bytes: usize,
}

impl ArenaWriter {
    /// Memory taken by records, in bytes.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// Appends a key together with its first version.
    pub(crate) fn push_key(
        &mut self,
        key: &[u8],
        seqno: SeqNo,
        kind: Kind,
        value: &[u8],
    ) -> KeyRef {
        let link = (key.len() as u64) << 3 | 1;
        let (chunk, version, key_offset) = self.push(NEWEST_BYTES, link, key, (seqno, kind), value);
        chunk.atomic(key_offset).store(version.0.0, Ordering::Release);
        KeyRef(Address::new(version.0.chunk(), key_offset))
    }

    /// Puts a newer version before the others of `key`.
    pub(crate) fn push_version(&mut self, key: KeyRef, seqno: SeqNo, kind: Kind, value: &[u8]) {
        let link = self.arena.newest(key).0.0;
        let (_, version, _) = self.push(0, link, &[], (seqno, kind), value);
        let (chunk, offset) = self.arena.locate(key.0);
        chunk.atomic(offset).store(version.0.0, Ordering::Release);
    }

    /// Appends a version behind `before` bytes that stay unwritten. Returns the
    /// chunk, the version, and the offset of those bytes.
    fn push(
        &mut self,
        before: usize,
        link: u64,
        key: &[u8],
        (seqno, kind): (SeqNo, Kind),
        value: &[u8],
    ) -> (&Chunk, VersionRef, usize) {
        let own_index = self.push_own_chunk(value).map(u32::to_ne_bytes);
        let flag = if own_index.is_some() { OWN_CHUNK_FLAG } else { 0 };
        let value_word = value.len() as u32 | flag;
        let stored = own_index.as_ref().map_or(value, |index| index.as_slice());
        let bytes = before + VERSION_HEADER_BYTES + key.len() + stored.len();
        let (chunk, index, start) = self.reserve(bytes.next_multiple_of(RECORD_ALIGN));
        let offset = start + before;
        let stamp = seqno.0 << 8 | kind as u64;
        // SAFETY: the range was just reserved and is not handed out yet.
        unsafe {
            chunk.write(offset, &link.to_ne_bytes());
            chunk.write(offset + 8, &stamp.to_ne_bytes());
            chunk.write(offset + 16, &value_word.to_ne_bytes());
            chunk.write(offset + VERSION_HEADER_BYTES, key);
            chunk.write(offset + VERSION_HEADER_BYTES + key.len(), stored);
        }
        (chunk, VersionRef(Address::new(index, offset)), start)
    }

    /// Gives a large value its own chunk.
    fn push_own_chunk(&mut self, value: &[u8]) -> Option<u32> {
        if value.len() < OWN_CHUNK_VALUE_BYTES {
            return None;
        }
        let chunk = Chunk::new(Memory::zeroed(value.len()), self.pool.clone());
        // SAFETY: nobody else knows the chunk.
        unsafe { chunk.write(0, value) };
        self.used_bytes += value.len();
        Some(self.add_chunk(chunk))
    }

    /// Takes `bytes` bytes, at most a chunk, behind all others.
    fn reserve(&mut self, bytes: usize) -> (&Chunk, u32, usize) {
        let rest = self.chunk.as_ref().map_or(0, |(chunk, _)| chunk.bytes - self.next_offset);
        if bytes > rest {
            let chunk = Chunk::new(self.pool.take(), self.pool.clone());
            let index = self.add_chunk(Arc::clone(&chunk));
            self.chunk = Some((chunk, index));
            self.next_offset = 0;
        }
        let (chunk, index) = self.chunk.as_ref().expect("a chunk was just taken");
        let offset = self.next_offset;
        self.next_offset += bytes;
        self.used_bytes += bytes;
        (chunk, *index, offset)
    }

    fn add_chunk(&mut self, chunk: Arc<Chunk>) -> u32 {
        let index = self.next_index;
        self.next_index = index.checked_add(1).expect("a table has far fewer chunks");
        self.arena.chunks.set(index, chunk);
        index
    }
}
