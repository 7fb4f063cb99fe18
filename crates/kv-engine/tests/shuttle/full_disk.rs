//! A full disk: writers are refused, not lost, and served again once there is
//! space.

use std::sync::atomic::{AtomicBool, Ordering};

use kv_engine::{Durability, Error, FlushSize, Options, WriteBatch};
use kv_env::SimDisk;

use crate::explore::explore;
use crate::world::{Call, World, tiny};

/// Bytes that no compression makes small.
pub(crate) fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..20_000).map(|_| next()).collect()
}

/// Some schedule has met a full disk, or nothing was tried.
static WAS_FULL: AtomicBool = AtomicBool::new(false);

/// Writes batch `name` as often as it takes.
fn insist(world: &World, name: &str, seed: u64) {
    loop {
        let mut batch = WriteBatch::new();
        batch.put(name.as_bytes(), &noise(seed)).unwrap();
        batch.put(b"newest", name.as_bytes()).unwrap();
        match world.commit(name, batch, Call::Write(Durability::Sync)) {
            Ok(_) => return,
            Err(Error::NoSpace { .. }) => {
                WAS_FULL.store(true, Ordering::Relaxed);
                // Somebody finds space meanwhile.
                shuttle::thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn writers_are_served_again_once_there_is_space() {
    explore(400, || {
        let options = Options {
            memtable_flush_size: FlushSize::Bytes(32 << 10),
            reserve_bytes: Some(4 << 10),
            ..tiny()
        };
        let world = World::new(options);
        world.disk.set_capacity(Some(used_bytes(&world.disk) + (40 << 10)));
        let writers = [0, 1].map(|writer| {
            world.spawn(move |world| {
                for round in 0..3 {
                    insist(world, &format!("{writer}:{round}"), writer * 10 + round);
                }
            })
        });
        let owner = world.spawn(|world| {
            for _ in 0..20 {
                shuttle::thread::yield_now();
            }
            world.disk.set_capacity(None);
        });
        for thread in writers.into_iter().chain([owner]) {
            thread.join().unwrap();
        }
        assert!(!world.engine.stats().poisoned);
        world.finish();
    });
    assert!(WAS_FULL.load(Ordering::Relaxed), "the disk was full for somebody");
}

/// Bytes of all files.
pub(crate) fn used_bytes(disk: &SimDisk) -> u64 {
    disk.fs().list().unwrap().iter().map(|entry| entry.len).sum()
}
