//! The table itself: what readers share, and the one writer.

use std::cmp::Reverse;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_skiplist::SkipMap;
use kv_core::{FoundEntry, Kind, MAX_KEY_BYTES, MAX_VALUE_BYTES, SeqNo, Value};

use crate::cursor::MemtableCursor;
use crate::pool::ArenaPool;

/// Orders entries by key, newest version first.
pub(crate) type VersionKey = (Vec<u8>, Reverse<SeqNo>);

/// Bytes that an entry takes besides its key and value.
const ENTRY_OVERHEAD_BYTES: usize = 96;

/// An ordered table of entries in memory, shared by its readers.
pub struct Memtable {
    pub(crate) entries: SkipMap<VersionKey, (Kind, Value)>,
    visible: AtomicU64,
    last: AtomicU64,
    count: AtomicU64,
    bytes: AtomicUsize,
}

impl Memtable {
    /// An empty table whose visible number starts at `visible`, and its writer.
    pub fn create(_pool: &ArenaPool, visible: SeqNo) -> (Arc<Memtable>, MemtableWriter) {
        let table = Arc::new(Memtable {
            entries: SkipMap::new(),
            visible: AtomicU64::new(visible.0),
            last: AtomicU64::new(0),
            count: AtomicU64::new(0),
            bytes: AtomicUsize::new(0),
        });
        (Arc::clone(&table), MemtableWriter { table })
    }

    /// The newest version of `key` that is not newer than `at`.
    pub fn get(&self, key: &[u8], at: SeqNo) -> Option<FoundEntry> {
        let from: VersionKey = (key.to_vec(), Reverse(at));
        let found = self.entries.lower_bound(Bound::Included(&from))?;
        let (found_key, Reverse(seqno)) = found.key();
        let (kind, value) = found.value();
        (found_key == key).then(|| FoundEntry { seqno: *seqno, kind: *kind, value: value.clone() })
    }

    /// The number of the newest write of `key`, published or not.
    pub fn newest_seqno(&self, key: &[u8]) -> Option<SeqNo> {
        self.get(key, SeqNo::MAX).map(|found| found.seqno)
    }

    /// A cursor over all versions of all keys. Entries inserted after its
    /// creation may or may not appear.
    pub fn cursor(self: &Arc<Self>) -> MemtableCursor {
        MemtableCursor::new(Arc::clone(self))
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
        SeqNo(self.last.load(Ordering::Acquire))
    }

    /// Memory taken by entries and index, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Number of inserts.
    pub fn entries(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// True before the first insert.
    pub fn is_empty(&self) -> bool {
        self.entries() == 0
    }
}

/// The one place that can insert into a [`Memtable`].
pub struct MemtableWriter {
    table: Arc<Memtable>,
}

impl MemtableWriter {
    /// Inserts one write. Readers find it as soon as they ask for `seqno`.
    ///
    /// # Panics
    /// If `seqno` is not above all earlier ones or above [`SeqNo::MAX`], or if
    /// the key or value is over its limit: the caller has checked both when
    /// the batch was made.
    pub fn insert(&mut self, seqno: SeqNo, kind: Kind, key: &[u8], value: &[u8]) {
        assert!(seqno > self.table.last_seqno(), "sequence numbers rise");
        assert!(seqno <= SeqNo::MAX, "sequence numbers have 56 bits");
        assert!(key.len() <= MAX_KEY_BYTES && value.len() <= MAX_VALUE_BYTES, "within the limits");
        let grown = key.len() + value.len() + ENTRY_OVERHEAD_BYTES;
        self.table.entries.insert((key.to_vec(), Reverse(seqno)), (kind, Value::copy_of(value)));
        self.table.bytes.fetch_add(grown, Ordering::Relaxed);
        self.table.count.fetch_add(1, Ordering::Relaxed);
        self.table.last.store(seqno.0, Ordering::Release);
    }

    /// The table written to.
    pub fn memtable(&self) -> &Arc<Memtable> {
        &self.table
    }
}
