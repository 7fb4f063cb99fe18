//! The table itself: what readers share, and the one writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use kv_core::{FoundEntry, Kind, MAX_KEY_BYTES, MAX_VALUE_BYTES, SeqNo};

use crate::cursor::MemtableCursor;
use crate::pool::ArenaPool;
use crate::tree::Tree;
use crate::tree_writer::{TreeWriter, Write};
use crate::visible_cursor::VisibleCursor;

/// An ordered table of entries in memory, shared by its readers.
pub struct Memtable {
    tree: Arc<Tree>,
    /// Written once per group of commits, read by every get.
    visible: CachePadded<AtomicU64>,
    /// Written by every insert, read by few: kept off the readers' lines.
    counters: CachePadded<Counters>,
}

struct Counters {
    last_seqno: AtomicU64,
    entries: AtomicU64,
    bytes: AtomicUsize,
}

impl Memtable {
    /// An empty table whose visible number starts at `visible`, and its writer.
    pub fn create(pool: &ArenaPool, visible: SeqNo) -> (Arc<Memtable>, MemtableWriter) {
        let (tree, tree_writer) = TreeWriter::create(pool);
        let counters = Counters {
            last_seqno: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            bytes: AtomicUsize::new(tree_writer.used_bytes()),
        };
        let table = Arc::new(Memtable {
            tree,
            visible: CachePadded::new(AtomicU64::new(visible.0)),
            counters: CachePadded::new(counters),
        });
        (Arc::clone(&table), MemtableWriter { table, tree_writer })
    }

    /// The newest version of `key` that is not newer than `at`. Costs one load
    /// for each version that is too new.
    pub fn get(&self, key: &[u8], at: SeqNo) -> Option<FoundEntry> {
        let arena = &self.tree.arena;
        let found = arena.version_at(self.tree.find(key)?, at)?;
        let version = arena.version(found);
        Some(FoundEntry { seqno: version.seqno, kind: version.kind, value: arena.value(found) })
    }

    /// The number of the newest write of `key`, published or not.
    pub fn newest_seqno(&self, key: &[u8]) -> Option<SeqNo> {
        let arena = &self.tree.arena;
        let key = self.tree.find(key)?;
        Some(arena.version(arena.newest(key)).seqno)
    }

    /// A cursor over all versions of all keys: what a flush reads. Entries
    /// inserted after its creation may or may not appear.
    pub fn cursor(self: &Arc<Self>) -> MemtableCursor {
        MemtableCursor::new(Arc::clone(&self.tree))
    }

    /// A cursor over the newest version of each key that is not newer than
    /// `at`: what a scan at `at` sees.
    pub fn visible_cursor(self: &Arc<Self>, at: SeqNo) -> VisibleCursor {
        VisibleCursor::new(Arc::clone(&self.tree), at)
    }

    /// Lets readers see everything up to `seqno`. The visible number only
    /// rises: publishing less than before changes nothing.
    pub fn publish(&self, seqno: SeqNo) {
        self.visible.fetch_max(seqno.0, Ordering::Release);
    }

    /// The newest published number: what a reader passes to [`Memtable::get`].
    pub fn visible(&self) -> SeqNo {
        SeqNo(self.visible.load(Ordering::Acquire))
    }

    /// The number of the last insert, published or not; 0 while empty.
    pub fn last_seqno(&self) -> SeqNo {
        SeqNo(self.counters.last_seqno.load(Ordering::Acquire))
    }

    /// Memory taken by entries and index, in bytes.
    pub fn bytes(&self) -> usize {
        self.counters.bytes.load(Ordering::Relaxed)
    }

    /// Number of inserts.
    pub fn entries(&self) -> u64 {
        self.counters.entries.load(Ordering::Relaxed)
    }

    /// True before the first insert.
    pub fn is_empty(&self) -> bool {
        self.entries() == 0
    }
}

/// The one place that can insert into a [`Memtable`].
pub struct MemtableWriter {
    table: Arc<Memtable>,
    tree_writer: TreeWriter,
}

impl MemtableWriter {
    /// Inserts one write. Readers find it as soon as they ask for `seqno`.
    ///
    /// # Panics
    /// If `seqno` is not above all earlier ones or is above [`SeqNo::MAX`], if
    /// a delete has a value, or if the key or value is over its limit: batches
    /// are checked when they are made.
    pub fn insert(&mut self, seqno: SeqNo, kind: Kind, key: &[u8], value: &[u8]) {
        let counters = &self.table.counters;
        assert!(seqno.0 > counters.last_seqno.load(Ordering::Relaxed), "sequence numbers rise");
        assert!(seqno <= SeqNo::MAX, "sequence numbers have 56 bits");
        assert!(key.len() <= MAX_KEY_BYTES && value.len() <= MAX_VALUE_BYTES, "within the limits");
        assert!(kind == Kind::Put || value.is_empty(), "a delete has no value");
        self.tree_writer.insert(Write { seqno, kind, key, value });
        // One writer: a plain load and store count without a locked instruction.
        let entries = counters.entries.load(Ordering::Relaxed) + 1;
        counters.entries.store(entries, Ordering::Relaxed);
        counters.bytes.store(self.tree_writer.used_bytes(), Ordering::Relaxed);
        counters.last_seqno.store(seqno.0, Ordering::Release);
    }

    /// The table written to.
    pub fn memtable(&self) -> &Arc<Memtable> {
        &self.table
    }
}
