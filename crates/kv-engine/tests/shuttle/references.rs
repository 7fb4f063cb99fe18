//! Reference counts of versions: a table of an old version keeps its file for as
//! long as somebody reads it, and loses it after the last one.

use kv_engine::{Durability, KeyRange, Options};

use crate::ports::meet;
use crate::steered::{Stage, at_every_step};
use crate::world::{Call, World, roomy};

const UNSYNCED: Call = Call::Write(Durability::Os);

/// Tables are replaced on demand only.
fn world() -> World {
    World::new(Options { compaction_sstable_threshold: 8, ..roomy() })
}

/// Writes batch `name` into a table of its own. The background removes, beside
/// this work, what nobody refers to any more.
fn write_table(world: &World, name: &str) {
    world.write(name, UNSYNCED).unwrap();
    world.engine.flush().unwrap();
}

/// Reads with points between the reads where the reader may be overtaken: what it
/// has in its hands stays, in whatever files it is.
fn read_twice(world: &World) {
    assert!(world.engine.get(b"a").unwrap().is_some());
    let snapshot = world.engine.snapshot();
    meet();
    let mut scan = snapshot.scan(KeyRange::all());
    let found = std::iter::from_fn(|| {
        meet();
        scan.next().map(|entry| entry.unwrap().0)
    });
    let found: Vec<Vec<u8>> = found.collect();
    meet();
    assert!(snapshot.get(b"b").unwrap().is_some());
    meet();
    let again = snapshot.scan(KeyRange::all()).map(|entry| entry.unwrap().0);
    assert!(again.eq(found), "a snapshot stands still");
}

/// No file of a table is left but those of the version.
fn only_live_tables_are_left(world: &World) {
    // Both are read anew: the background may be at work.
    let tables: u64 = world.engine.levels().iter().map(|level| level.tables).sum();
    let names = world.disk.fs().list().unwrap().into_iter().map(|entry| entry.name);
    let files: Vec<String> = names.filter(|name| name.ends_with(".db")).collect();
    assert_eq!(files.len() as u64, tables, "{files:?}");
}

fn replace_beside_a_reader(stage: &Stage, victim: &'static str) {
    let world = world();
    stage.rest();
    write_table(&world, "a");
    write_table(&world, "b");
    let at_read = stage.clone();
    let reader = world.spawn_as("reader", move |world| {
        if victim == "reader" {
            at_read.stop(victim);
        } else {
            // It has the old version in its hands when the compaction begins.
            let snapshot = world.engine.snapshot();
            at_read.rest();
            assert!(snapshot.get(b"a").unwrap().is_some());
        }
        read_twice(world);
    });
    shuttle::thread::yield_now();
    let at_compaction = stage.clone();
    let compactor = world.spawn_as("compactor", move |world| {
        if victim == "compactor" {
            at_compaction.stop(victim);
        }
        world.engine.compact().unwrap();
    });
    compactor.join().unwrap();
    write_table(&world, "c");
    reader.join().unwrap();
    stage.leave_alone();
    write_table(&world, "d");
    // Whoever is still at work for the last flush comes to its end.
    stage.rest();
    only_live_tables_are_left(&world);
    world.finish();
}

/// The tables that it is about to read are replaced at each of its steps.
#[test]
fn a_reader_that_is_overtaken_finds_its_tables() {
    let stops = at_every_step(|stage| replace_beside_a_reader(stage, "reader"));
    assert!(stops > 5, "the reader was stopped: {stops}");
}

/// The last reader goes at each step of the compaction that makes its version an
/// old one.
#[test]
fn the_last_reader_of_a_version_lets_its_files_go() {
    let stops = at_every_step(|stage| replace_beside_a_reader(stage, "compactor"));
    assert!(stops > 30, "the compaction was stopped: {stops}");
}
