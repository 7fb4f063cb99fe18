//! One writer and three readers at full speed: what was published is found,
//! nothing newer is, and cursors see a prefix of the writes in order.

use std::sync::Arc;
use std::thread;

use kv_core::{Cursor, Kind, SeqNo};
use kv_memtable::{ArenaPool, Memtable};

use crate::families::{family, mix};

const WRITES: u64 = if cfg!(miri) { 60 } else { 300_000 };
const READERS: u64 = 3;

/// Write `seqno` goes to key `(seqno - 1) % keys`.
struct Plan {
    /// In order of their first write.
    keys: Vec<Vec<u8>>,
    /// Indices into `keys`, in order of the keys.
    sorted: Vec<usize>,
}

impl Plan {
    fn new(families: &[&str]) -> Plan {
        let count = WRITES / 2 / families.len() as u64;
        let mut keys: Vec<Vec<u8>> = families.iter().flat_map(|name| family(name, count)).collect();
        keys.sort();
        keys.dedup();
        keys.sort_by_cached_key(|key| {
            mix(key.iter().fold(7, |sum, &byte| mix(sum + u64::from(byte))))
        });
        let mut sorted: Vec<usize> = (0..keys.len()).collect();
        sorted.sort_by_key(|&index| &keys[index]);
        Plan { keys, sorted }
    }

    fn key_of(&self, seqno: u64) -> &[u8] {
        &self.keys[(seqno - 1) as usize % self.keys.len()]
    }

    /// The newest write of a key up to `at`, if there is one.
    fn newest(&self, index: usize, at: u64) -> Option<u64> {
        let first = index as u64 + 1;
        let keys = self.keys.len() as u64;
        (at >= first).then(|| first + (at - first) / keys * keys)
    }

    fn write_all(&self, table: &Memtable, mut writer: kv_memtable::MemtableWriter) {
        for seqno in 1..=WRITES {
            writer.insert(SeqNo(seqno), Kind::Put, self.key_of(seqno), &seqno.to_le_bytes());
            // Groups of writes become visible at once.
            if mix(seqno).is_multiple_of(4) || seqno == WRITES {
                table.publish(SeqNo(seqno));
            }
        }
    }
}

struct Reader<'a> {
    plan: &'a Plan,
    table: &'a Arc<Memtable>,
    random: u64,
}

impl Reader<'_> {
    fn below(&mut self, limit: usize) -> usize {
        self.random = mix(self.random + 1);
        self.random as usize % limit
    }

    fn check_gets(&mut self, at: u64) {
        for _ in 0..50 {
            let index = self.below(self.plan.keys.len());
            let found = self.table.get(&self.plan.keys[index], SeqNo(at));
            let seqno = found.as_ref().map(|entry| entry.seqno.0);
            assert_eq!(seqno, self.plan.newest(index, at), "key {index} at {at}");
            let value = found.map(|entry| entry.value.to_vec());
            assert_eq!(value, seqno.map(|seqno| seqno.to_le_bytes().to_vec()));
            let newest = self.table.newest_seqno(&self.plan.keys[index]).map(|seqno| seqno.0);
            assert!(newest >= seqno, "applied writes include the published ones");
        }
    }

    /// A stretch of keys at `at` is exactly what the plan says, both ways.
    fn check_scan(&mut self, at: u64) {
        let start = self.below(self.plan.sorted.len());
        let present = |&&index: &&usize| self.plan.newest(index, at).is_some();
        let mut cursor = self.table.visible_cursor(SeqNo(at));
        cursor.seek(&self.plan.keys[self.plan.sorted[start]]).unwrap();
        for &index in self.plan.sorted[start..].iter().filter(present).take(60) {
            assert_eq!(cursor.key(), self.plan.keys[index]);
            assert_eq!(Some(cursor.seqno().0), self.plan.newest(index, at));
            cursor.next().unwrap();
        }
        cursor.seek_before(&self.plan.keys[self.plan.sorted[start]]).unwrap();
        for &index in self.plan.sorted[..start].iter().rev().filter(present).take(60) {
            assert_eq!(cursor.key(), self.plan.keys[index]);
            assert_eq!(Some(cursor.seqno().0), self.plan.newest(index, at));
            cursor.prev().unwrap();
        }
    }

    /// All versions in order; those up to `at` are complete.
    fn check_versions(&mut self, at: u64) {
        let start = self.below(self.plan.sorted.len());
        let end = self.plan.sorted.len().min(start + 40);
        let mut cursor = self.table.cursor();
        cursor.seek(&self.plan.keys[self.plan.sorted[start]]).unwrap();
        for &index in &self.plan.sorted[start..end] {
            let mut expected = self.plan.newest(index, at);
            while let Some(seqno) = expected {
                while cursor.seqno().0 > at {
                    cursor.next().unwrap();
                }
                let here = (cursor.key(), cursor.seqno().0);
                assert_eq!(here, (&self.plan.keys[index][..], seqno));
                cursor.next().unwrap();
                expected =
                    seqno.checked_sub(self.plan.keys.len() as u64).filter(|&seqno| seqno > 0);
            }
        }
    }

    fn run(mut self) {
        let mut seen = 0;
        while seen < WRITES {
            let at = self.table.visible().0;
            assert!(at >= seen, "the visible number only rises");
            seen = at;
            self.check_gets(at);
            self.check_scan(at);
            self.check_versions(at);
        }
    }
}

fn stress(families: &[&str]) {
    let plan = Plan::new(families);
    let (table, writer) = Memtable::create(&ArenaPool::new(0), SeqNo(0));
    thread::scope(|scope| {
        for random in 0..READERS {
            let reader = Reader { plan: &plan, table: &table, random };
            scope.spawn(move || reader.run());
        }
        plan.write_all(&table, writer);
    });
}

#[test]
fn readers_race_with_random_inserts() {
    stress(&["random"]);
}

#[test]
fn readers_race_with_keys_alike() {
    stress(&["letters", "decimal"]);
}

#[test]
fn readers_race_with_every_family() {
    stress(&["random", "decimal", "nested", "letters", "zeros"]);
}

/// Rising keys are appended without a lock.
#[test]
fn readers_race_with_rising_inserts() {
    let mut plan = Plan::new(&["decimal"]);
    plan.keys.sort();
    plan.sorted = (0..plan.keys.len()).collect();
    let (table, writer) = Memtable::create(&ArenaPool::new(0), SeqNo(0));
    thread::scope(|scope| {
        for random in 0..READERS {
            let reader = Reader { plan: &plan, table: &table, random };
            scope.spawn(move || reader.run());
        }
        plan.write_all(&table, writer);
    });
}
