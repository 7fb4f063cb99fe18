//! The tree's own source, run by loom through every interleaving of one insert
//! with a reader, and through every value its loads may return by the memory
//! model. Nodes hold two keys, so that small trees split; records are plain
//! memory, since loom does not look into the arena (miri does).
//!
//! The last model is the same protocol without its second look at the version:
//! it must fail, or the others prove nothing.

#[path = "../../src/directory.rs"]
mod directory;
#[path = "../../src/node.rs"]
mod node;
#[path = "../../src/optimistic_lock.rs"]
mod optimistic_lock;
#[path = "../../src/sorted_keys.rs"]
mod sorted_keys;
#[path = "../../src/split.rs"]
mod split;
#[path = "../../src/tree.rs"]
mod tree;
#[path = "../../src/tree_writer.rs"]
mod tree_writer;

mod arena;

mod sizes {
    pub(crate) const LEAF_SLOTS: usize = 2;
    pub(crate) const INNER_SLOTS: usize = 2;
    pub(crate) const SLAB_NODES: u32 = 2;
}

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};

    pub(crate) fn pause(_spins: u32) {
        loom::thread::yield_now();
    }
}

mod pool {
    pub(crate) struct ArenaPool;
}

use kv_core::{Kind, SeqNo};
use loom::sync::Arc;

use pool::ArenaPool;
use sync::{AtomicU64, Ordering};
use tree::Tree;
use tree_writer::{TreeWriter, Write};

/// Bounds the switches away from a thread that could go on: two are enough for
/// "reader looks, writer works, reader looks again" and one thing more.
const PREEMPTIONS: usize = 2;

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.max_branches = 100_000;
    builder.check(model);
}

fn insert(writer: &mut TreeWriter, key: &str) {
    let write = Write { seqno: SeqNo(1), kind: Kind::Put, key: key.as_bytes(), value: b"" };
    writer.insert(write);
}

/// One thread inserts `inserted` into a tree of `present` while another runs
/// `read` with the tree and the number of inserts it knows to be done.
fn race(
    present: &'static [&'static str],
    inserted: &'static [&'static str],
    read: fn(&Tree, &[&str]),
) {
    explore(move || {
        let (tree, mut writer) = TreeWriter::create(&ArenaPool);
        present.iter().for_each(|key| insert(&mut writer, key));
        let done = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&done);
        let reader = loom::thread::spawn(move || {
            let count = seen.load(Ordering::Acquire) as usize;
            let known: Vec<&str> = present.iter().chain(&inserted[..count]).copied().collect();
            read(&tree, &known);
        });
        for (key, count) in inserted.iter().zip(1..) {
            insert(&mut writer, key);
            done.store(count, Ordering::Release);
        }
        reader.join().unwrap();
    });
}

/// An attempt to find the key known last finds it, if it comes to an end: the
/// largest of those that were there, or the inserted one once that is done.
fn find_last(tree: &Tree, known: &[&str]) {
    let key = known.last().expect("the tree has keys").as_bytes();
    if let Some(found) = tree.try_find(key) {
        assert_eq!(tree.arena.key(found.expect("the key is there")), key);
    }
}

/// A walk meets every key known to be there, in order.
fn walk_forward(tree: &Tree, known: &[&str]) {
    let mut met = Vec::new();
    let mut position = tree.first();
    while let Some(here) = position {
        met.push(tree.arena.key(here.key));
        position = tree.next(&here);
    }
    assert!(met.is_sorted_by(|a, b| a < b), "rising keys: {met:?}");
    assert!(known.iter().all(|key| met.contains(&key.as_bytes())), "{met:?}");
}

/// The same from the other end.
fn walk_back(tree: &Tree, known: &[&str]) {
    let mut met = Vec::new();
    let mut position = tree.last();
    while let Some(here) = position {
        met.push(tree.arena.key(here.key));
        position = tree.prev(&here);
    }
    assert!(met.is_sorted_by(|a, b| a > b), "falling keys: {met:?}");
    assert!(known.iter().all(|key| met.contains(&key.as_bytes())), "{met:?}");
}

#[test]
fn keys_are_found_while_a_leaf_makes_room() {
    race(&["b"], &["a"], find_last);
}

#[test]
fn keys_are_found_while_a_leaf_is_appended_to() {
    race(&["a"], &["b"], find_last);
}

#[test]
fn keys_are_found_while_a_leaf_splits() {
    race(&["a", "c"], &["b"], find_last);
}

#[test]
fn keys_are_found_while_the_prefix_shrinks() {
    race(&["shared prefix"], &["other"], find_last);
}

#[test]
fn keys_are_found_while_the_root_is_pushed_down_and_split() {
    race(&["a", "c", "e", "g", "i", "k"], &["b"], find_last);
}

#[test]
fn keys_are_found_while_rising_keys_split_a_path() {
    race(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"], &["m"], find_last);
}

/// Keys that are longer than the prefixes below, so that a head taken behind one
/// says nothing about their order.
const BELOW: &[u8] = b"a long key with a large end, zzz";
const BETWEEN: &[u8] = b"other keys with a large end, zzz";

/// A mended bug: a seek below all keys answered with the first key even if that
/// had just been inserted below the key sought.
#[test]
fn a_seek_is_right_while_the_prefix_shrinks() {
    race(&["shared prefix"], &["other"], |tree, known| {
        let found = tree.at_or_after(BETWEEN).expect("a key is above");
        assert_eq!(tree.arena.key(found.key), known[0].as_bytes());
    });
}

/// The same at the other end.
#[test]
fn a_seek_back_is_right_while_the_prefix_shrinks() {
    race(&["a prefix"], &["z"], |tree, known| {
        let found = tree.before(BETWEEN).expect("a key is below");
        assert_eq!(tree.arena.key(found.key), known[0].as_bytes());
    });
}

#[test]
fn the_first_key_and_its_prefix_appear_as_one() {
    race(&[], &["shared prefix"], |tree, known| {
        assert!(tree.before(BELOW).is_none(), "nothing is below the key");
        assert!(tree.at_or_after(b"t").is_none(), "nothing is above the key");
        assert!(known.is_empty() || tree.find(b"shared prefix").is_some());
    });
}

#[test]
fn a_walk_misses_nothing_while_a_leaf_splits() {
    race(&["a", "c"], &["b"], walk_forward);
}

#[test]
fn a_walk_back_misses_nothing_while_a_leaf_splits() {
    race(&["a", "c"], &["b"], walk_back);
}

#[test]
fn a_reader_that_does_not_validate_is_caught() {
    let broken = std::panic::catch_unwind(|| {
        race(&["a", "c"], &["b"], |tree, _| {
            let leaf = tree.leaves.get(tree::FIRST_LEAF);
            assert_eq!(tree.search(leaf, b"c").slot, 1, "only the split moves c away");
        });
    });
    assert!(broken.is_err(), "loom finds the race");
}
