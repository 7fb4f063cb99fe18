//! Where the bytes are: sizes at every boundary, pinned values, reused chunks.

use kv_core::{Cursor, Kind, MAX_KEY_BYTES, SeqNo};
use kv_memtable::{ArenaPool, Memtable};

const CHUNK: usize = 1 << 20;
/// The smallest value with its own chunk.
const OWN_CHUNK: usize = 64 << 10;
const LARGEST: usize = if cfg!(miri) { OWN_CHUNK + 1 } else { 3 * CHUNK + 1 };

/// Bytes that differ from place to place, so that a shifted copy shows.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 + at / 251) as u8).collect()
}

#[test]
fn keys_and_values_of_every_size() {
    let pool = ArenaPool::new(0);
    let (table, mut writer) = Memtable::create(&pool, SeqNo(0));
    let keys = [0, 1, 7, 8, 9, 255, 4096, MAX_KEY_BYTES].map(pattern);
    // Around the sizes that are pinned and that get their own chunk.
    let values = [0, 1, 1023, 1024, OWN_CHUNK - 1, OWN_CHUNK, LARGEST].map(pattern);
    let mut seqno = 0;
    for key in &keys {
        for value in &values {
            seqno += 1;
            writer.insert(SeqNo(seqno), Kind::Put, key, value);
        }
    }
    let mut cursor = table.cursor();
    cursor.seek_to_first().unwrap();
    for (index, key) in keys.iter().enumerate() {
        for (turn, value) in values.iter().enumerate().rev() {
            let at = SeqNo((index * values.len() + turn + 1) as u64);
            let found = table.get(key, at).expect("inserted");
            assert_eq!((found.seqno, &found.value), (at, &kv_core::Value::copy_of(value)));
            assert_eq!((cursor.key(), cursor.seqno()), (&key[..], at));
            assert_eq!(cursor.value(), value);
            assert_eq!(cursor.pinned_value(), *value);
            cursor.next().unwrap();
        }
    }
    let payload: usize = values.iter().map(Vec::len).sum::<usize>() * keys.len();
    assert!(table.bytes() > payload && table.bytes() < payload + (1 << 20));
}

#[test]
fn overwriting_a_key_does_not_grow_the_tree() {
    let (table, mut writer) = Memtable::create(&ArenaPool::new(0), SeqNo(0));
    let before = table.bytes();
    for seqno in 1..=1000 {
        writer.insert(SeqNo(seqno), Kind::Put, b"hot", b"12345678");
    }
    assert_eq!(table.entries(), 1000);
    assert!(table.bytes() - before < 1000 * 32 + 64, "a version takes 32 bytes");
    let mut cursor = table.visible_cursor(SeqNo(500));
    cursor.seek_to_first().unwrap();
    assert_eq!(cursor.seqno(), SeqNo(500));
    cursor.next().unwrap();
    assert!(!cursor.valid());
}

#[test]
fn values_outlive_their_table() {
    let pool = ArenaPool::new(64 * CHUNK);
    let (table, mut writer) = Memtable::create(&pool, SeqNo(0));
    let values = [pattern(10), pattern(2000), pattern(70_000)];
    for (value, seqno) in values.iter().zip(1..) {
        writer.insert(SeqNo(seqno), Kind::Put, &[seqno as u8], value);
    }
    let found = [1u8, 2, 3].map(|key| table.get(&[key], SeqNo::MAX).expect("inserted").value);
    drop((table, writer));
    assert_eq!(pool.kept_bytes(), 0, "the chunk is pinned");
    // The next table must not get the pinned chunk.
    let (_table, mut writer) = Memtable::create(&pool, SeqNo(0));
    writer.insert(SeqNo(1), Kind::Put, b"other", &[0xff; 4000]);
    assert!(found.iter().zip(&values).all(|(found, value)| found == value));
    drop(found);
    assert_eq!(pool.kept_bytes(), CHUNK);
}

#[test]
fn memory_passes_to_the_next_table_up_to_a_limit() {
    let pool = ArenaPool::new(3 * CHUNK + 1);
    // Twenty values of 50,000 bytes fill a chunk.
    let fill = |chunks: u64| {
        let (table, mut writer) = Memtable::create(&pool, SeqNo(0));
        for seqno in 1..=chunks * 20 {
            writer.insert(SeqNo(seqno), Kind::Put, &seqno.to_be_bytes(), &[seqno as u8; 50_000]);
        }
        table
    };
    drop(fill(2));
    assert_eq!(pool.kept_bytes(), 2 * CHUNK);
    let table = fill(1);
    assert_eq!(pool.kept_bytes(), CHUNK, "one chunk is in use again");
    for seqno in 1..=20u64 {
        let found = table.get(&seqno.to_be_bytes(), SeqNo::MAX).expect("inserted");
        assert_eq!(found.value, [seqno as u8; 50_000]);
    }
    drop((fill(4), table));
    assert_eq!(pool.kept_bytes(), 3 * CHUNK, "more is not kept");
}
