//! The one immutable value a reader loads: memory tables and a version.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use kv_compaction::Version;
use kv_core::{Cursor, Expectation, FoundEntry, Kind, MergeCursor, Result, SeqNo};
use kv_memtable::Memtable;
use kv_sstable::{CursorPurpose, KeyHash};

use crate::level_cursor::LevelCursor;
use crate::live_table::LiveTable;
use crate::stats::Counters;

/// Everything a reader needs. Replaced as a whole, never changed.
///
/// The visible sequence number lives in the active memory table, so a view and
/// its number cannot come from different moments.
pub(crate) struct View {
    pub(crate) active: Arc<Memtable>,
    /// Frozen memory tables, newest first.
    pub(crate) frozen: Vec<Arc<Frozen>>,
    pub(crate) version: Arc<Version<LiveTable>>,
    /// Every write up to this number is in the version's tables.
    pub(crate) flushed_through: SeqNo,
}

/// A memory table that takes no more writes and waits for its flush.
pub(crate) struct Frozen {
    pub(crate) memtable: Arc<Memtable>,
    /// Its newest write.
    pub(crate) last_seqno: SeqNo,
    /// The first segment that holds a newer write: those before it can go once
    /// this memory table is a table.
    pub(crate) next_segment: u64,
}

impl View {
    /// The newest version of `key` that was written up to `at`.
    ///
    /// Tables are not asked for the number: whatever a view's tables hold was
    /// visible before the view was made.
    pub(crate) fn get(
        &self,
        key: &[u8],
        at: SeqNo,
        counters: &Counters,
    ) -> Result<Option<FoundEntry>> {
        counters.gets.fetch_add(1, Relaxed);
        if let Some(found) = self.active.get(key, at) {
            return Ok(Some(found));
        }
        for frozen in &self.frozen {
            if let Some(found) = frozen.memtable.get(key, at) {
                return Ok(Some(found));
            }
        }
        if self.version.table_count() == 0 {
            return Ok(None);
        }
        let mut hash = None;
        let mut probed = 0;
        let mut result = Ok(None);
        for live in self.version.candidates(key) {
            probed += 1;
            // All are of one database: the hash for the first serves them all.
            let database_id = live.table.header().database_id;
            let hash = *hash.get_or_insert_with(|| KeyHash::of(database_id, key));
            match live.table.get(key, hash) {
                Ok(None) => {}
                answer => {
                    result = answer;
                    break;
                }
            }
        }
        counters.tables_probed.fetch_add(probed, Relaxed);
        result
    }

    /// True if nothing has written the key of `expectation` since it was read,
    /// up to `at`.
    ///
    /// Exact while the writes since then are in memory. Later a key that was
    /// written and deleted again, and whose delete a compaction has dropped,
    /// passes for one that was never there.
    pub(crate) fn is_unchanged(
        &self,
        expectation: &Expectation,
        at: SeqNo,
        counters: &Counters,
    ) -> Result<bool> {
        if self.flushed_through <= expectation.read_at {
            return Ok(!self.is_newer_in_memory(expectation));
        }
        let found = self.get(&expectation.key, at, counters)?;
        if found.as_ref().is_some_and(|entry| entry.seqno > expectation.read_at) {
            return Ok(false);
        }
        let seen = found.filter(|entry| entry.kind == Kind::Put).map(|entry| entry.seqno);
        Ok(seen == expectation.seen)
    }

    /// True if memory holds a later write of the key of `expectation`.
    pub(crate) fn is_newer_in_memory(&self, expectation: &Expectation) -> bool {
        self.newest_in_memory(&expectation.key).is_some_and(|newest| newest > expectation.read_at)
    }

    /// When `key` was last written, as far as memory knows; visible or not.
    fn newest_in_memory(&self, key: &[u8]) -> Option<SeqNo> {
        self.active
            .newest_seqno(key)
            .or_else(|| self.frozen.iter().find_map(|frozen| frozen.memtable.newest_seqno(key)))
    }

    /// A cursor over what was written up to `at`: of each key the newest version
    /// in each memory table and table, however often it was overwritten.
    pub(crate) fn cursor(&self, at: SeqNo, purpose: CursorPurpose) -> MergeCursor<Box<dyn Cursor>> {
        let mut sources: Vec<Box<dyn Cursor>> = vec![Box::new(self.active.visible_cursor(at))];
        for frozen in &self.frozen {
            sources.push(Box::new(frozen.memtable.visible_cursor(at)));
        }
        for (level, tables) in self.version.levels().iter().enumerate() {
            if level == 0 {
                sources.extend(
                    tables
                        .iter()
                        .map(|live| -> Box<dyn Cursor> { Box::new(live.table.cursor(purpose)) }),
                );
            } else if !tables.is_empty() {
                sources.push(Box::new(LevelCursor::new(Arc::clone(tables), purpose)));
            }
        }
        MergeCursor::new(sources)
    }

    /// Memory held by the memory tables, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let frozen: usize = self.frozen.iter().map(|frozen| frozen.memtable.bytes()).sum();
        (self.active.bytes() + frozen) as u64
    }
}

#[cfg(test)]
mod tests {
    use kv_memtable::{ArenaPool, MemtableWriter};

    use super::*;

    /// A frozen and an active memory table, in both of which "counter" was
    /// overwritten often, between two keys that were not.
    fn overwritten(times: u64) -> View {
        let pool = ArenaPool::new(0);
        let fill = |writer: &mut MemtableWriter, first: u64| {
            for seqno in first..first + times {
                writer.insert(SeqNo(seqno), Kind::Put, b"counter", &seqno.to_be_bytes());
            }
        };
        let (frozen, mut writer) = Memtable::create(&pool, SeqNo(0));
        writer.insert(SeqNo(1), Kind::Put, b"a", b"first");
        fill(&mut writer, 2);
        let last_seqno = SeqNo(times + 1);
        let (active, mut writer) = Memtable::create(&pool, last_seqno);
        fill(&mut writer, times + 2);
        writer.insert(SeqNo(2 * times + 2), Kind::Delete, b"z", b"");
        View {
            active,
            frozen: vec![Arc::new(Frozen { memtable: frozen, last_seqno, next_segment: 2 })],
            version: Arc::new(Version::new()),
            flushed_through: SeqNo(0),
        }
    }

    type Step = fn(&mut MergeCursor<Box<dyn Cursor>>) -> Result<()>;

    /// Keys and numbers from where the cursor is, as far as `step` leads.
    fn walk(cursor: &mut MergeCursor<Box<dyn Cursor>>, step: Step) -> Vec<(String, u64)> {
        let mut entries = Vec::new();
        while cursor.valid() {
            let key = String::from_utf8(cursor.key().to_vec()).unwrap();
            entries.push((key, cursor.seqno().0));
            step(cursor).unwrap();
        }
        entries
    }

    #[test]
    fn a_key_costs_a_scan_one_step_a_memory_table_however_often_it_was_overwritten() {
        let view = overwritten(1000);
        let entry = |key: &str, seqno| (key.to_owned(), seqno);
        for (at, newest) in [(SeqNo::MAX, 2001), (SeqNo(1500), 1500)] {
            let mut expected =
                vec![entry("a", 1), entry("counter", newest), entry("counter", 1001)];
            if at == SeqNo::MAX {
                expected.push(entry("z", 2002));
            }
            let mut cursor = view.cursor(at, CursorPurpose::Read);
            cursor.seek_to_first().unwrap();
            assert_eq!(walk(&mut cursor, Cursor::next), expected, "at {at}");
            cursor.seek_to_last().unwrap();
            let mut backwards = walk(&mut cursor, Cursor::prev);
            backwards.reverse();
            assert_eq!(backwards, expected, "at {at}");
            // Between the two versions of the counter the way is changed.
            cursor.seek(b"counter").unwrap();
            cursor.next().unwrap();
            assert_eq!(cursor.seqno(), SeqNo(1001));
            cursor.prev().unwrap();
            assert_eq!(walk(&mut cursor, Cursor::next), expected[1..], "at {at}");
        }
    }
}
