//! The table against an ordered map of all versions.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use kv_core::{Cursor, Kind, SeqNo};
use kv_memtable::{ArenaPool, Memtable, MemtableCursor, MemtableWriter};
use proptest::collection::vec;
use proptest::prelude::*;

const MOST_STEPS: usize = if cfg!(miri) { 200 } else { 800 };

type Model = BTreeMap<(Vec<u8>, Reverse<u64>), (Kind, Vec<u8>)>;

/// Keys that tie in their first bytes, differ in length only, or are empty.
fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(prop_oneof![Just(0u8), Just(1), Just(255)], 0..4),
        vec(prop_oneof![Just(0u8), Just(b'z')], 0..4)
            .prop_map(|tail| { [b"a common prefix ".as_slice(), &tail].concat() }),
        (0u16..500).prop_map(|number| format!("key:{number:08}").into_bytes()),
        vec(any::<u8>(), 0..24),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Get(Vec<u8>, u64),
    SeekToFirst,
    SeekToLast,
    Seek(Vec<u8>),
    SeekBefore(Vec<u8>),
    Next(u8),
    Prev(u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any_key(), vec(any::<u8>(), 0..20)).prop_map(|(key, value)| Step::Put(key, value)),
        1 => any_key().prop_map(Step::Delete),
        4 => (any_key(), any::<u64>()).prop_map(|(key, at)| Step::Get(key, at)),
        1 => Just(Step::SeekToFirst),
        1 => Just(Step::SeekToLast),
        1 => any_key().prop_map(Step::Seek),
        1 => any_key().prop_map(Step::SeekBefore),
        4 => (1u8..60).prop_map(Step::Next),
        4 => (1u8..60).prop_map(Step::Prev),
    ]
}

struct Pair {
    table: Arc<Memtable>,
    writer: MemtableWriter,
    cursor: MemtableCursor,
    model: Model,
    seqno: u64,
    /// Where the model's cursor stands.
    position: Option<(Vec<u8>, Reverse<u64>)>,
}

impl Pair {
    fn new() -> Pair {
        let (table, writer) = Memtable::create(&ArenaPool::new(0), SeqNo(0));
        let cursor = table.cursor();
        Pair { table, writer, cursor, model: Model::new(), seqno: 0, position: None }
    }

    fn write(&mut self, kind: Kind, key: Vec<u8>, value: Vec<u8>) {
        self.seqno += 1;
        self.writer.insert(SeqNo(self.seqno), kind, &key, &value);
        self.model.insert((key, Reverse(self.seqno)), (kind, value));
    }

    fn check_get(&self, key: &[u8], at: u64) {
        let expected = self
            .model
            .range((key.to_vec(), Reverse(at))..)
            .next()
            .filter(|((found, _), _)| found == key)
            .map(|((_, Reverse(seqno)), (kind, value))| (*seqno, *kind, value.clone()));
        let found = self.table.get(key, SeqNo(at));
        let found = found.map(|entry| (entry.seqno.0, entry.kind, entry.value.to_vec()));
        assert_eq!(found, expected, "get of {key:?} at {at}");
        let newest = self.model.range((key.to_vec(), Reverse(u64::MAX))..).next();
        let newest = newest.filter(|((found, _), _)| found == key).map(|((_, seqno), _)| seqno.0);
        assert_eq!(self.table.newest_seqno(key).map(|seqno| seqno.0), newest);
    }

    fn check_cursor(&self) {
        assert_eq!(self.cursor.valid(), self.position.is_some());
        if let Some(position) = &self.position {
            let (kind, value) = &self.model[position];
            assert_eq!(
                (self.cursor.key(), self.cursor.seqno().0, self.cursor.kind(), self.cursor.value()),
                (position.0.as_slice(), position.1.0, *kind, value.as_slice())
            );
            assert_eq!(self.cursor.pinned_value(), *value);
        }
    }

    fn move_cursor(&mut self, step: Step) {
        let newest = |key: Vec<u8>| (key, Reverse(u64::MAX));
        let found = match step {
            Step::SeekToFirst => {
                self.cursor.seek_to_first().unwrap();
                self.model.iter().next()
            }
            Step::SeekToLast => {
                self.cursor.seek_to_last().unwrap();
                self.model.iter().next_back()
            }
            Step::Seek(key) => {
                self.cursor.seek(&key).unwrap();
                self.model.range(newest(key)..).next()
            }
            Step::SeekBefore(key) => {
                self.cursor.seek_before(&key).unwrap();
                self.model.range(..newest(key)).next_back()
            }
            Step::Next(_) => {
                self.cursor.next().unwrap();
                let here = self.position.clone().unwrap();
                self.model.range(here..).nth(1)
            }
            Step::Prev(_) => {
                self.cursor.prev().unwrap();
                let here = self.position.clone().unwrap();
                self.model.range(..here).next_back()
            }
            Step::Put(..) | Step::Delete(..) | Step::Get(..) => unreachable!("not a move"),
        };
        self.position = found.map(|(position, _)| position.clone());
        self.check_cursor();
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Put(key, value) => self.write(Kind::Put, key, value),
            Step::Delete(key) => self.write(Kind::Delete, key, Vec::new()),
            Step::Get(key, at) => {
                let at = at % (self.seqno + 2);
                self.check_get(&key, at);
            }
            Step::Next(count) | Step::Prev(count) => {
                for _ in 0..count {
                    if self.position.is_none() {
                        break;
                    }
                    self.move_cursor(step.clone());
                }
            }
            step => self.move_cursor(step),
        }
    }
}

/// The newest version of each key up to `at`, walked from both ends.
fn check_state(table: &Arc<Memtable>, model: &Model, at: u64) {
    let mut expected: BTreeMap<&[u8], u64> = BTreeMap::new();
    for (key, Reverse(seqno)) in model.keys().filter(|(_, Reverse(seqno))| *seqno <= at) {
        expected.entry(key).or_insert(*seqno);
    }
    let mut cursor = table.visible_cursor(SeqNo(at));
    cursor.seek_to_first().unwrap();
    for (key, seqno) in &expected {
        assert_eq!((cursor.key(), cursor.seqno().0), (*key, *seqno));
        cursor.next().unwrap();
    }
    assert!(!cursor.valid());
    cursor.seek_to_last().unwrap();
    for (key, seqno) in expected.iter().rev() {
        assert_eq!((cursor.key(), cursor.seqno().0), (*key, *seqno));
        cursor.prev().unwrap();
    }
    assert!(!cursor.valid());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 64 }))]

    #[test]
    fn behaves_like_an_ordered_map(steps in vec(any_step(), 0..MOST_STEPS), at in any::<u64>()) {
        let mut pair = Pair::new();
        for step in steps {
            pair.run(step);
        }
        check_state(&pair.table, &pair.model, at % (pair.seqno + 1));
        check_state(&pair.table, &pair.model, pair.seqno);
        prop_assert_eq!(pair.table.entries(), pair.seqno);
        prop_assert_eq!(pair.table.last_seqno(), SeqNo(pair.seqno));
    }
}
