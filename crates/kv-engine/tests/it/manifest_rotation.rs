//! A manifest that has grown too long is replaced by a snapshot: whenever the
//! power fails meanwhile, whether or not there is room for it.

use kv_engine::{Background, Engine, Error, FlushSize, Options, current_manifest};
use kv_env::{Failure, Fault, Operation, SimDisk};

use crate::support::{contents, open, settle, tiny};

/// Keys so long that some tens of tables fill a manifest.
fn key(number: u64) -> Vec<u8> {
    let mut key = vec![b'k'; 60_000];
    key.extend(number.to_be_bytes());
    key
}

fn options() -> Options {
    Options {
        memtable_flush_size: FlushSize::Entries(2),
        compaction_sstable_threshold: 2,
        background: Background::Manual,
        reserve_bytes: Some(0),
        ..tiny()
    }
}

fn write(engine: &Engine, number: u64) {
    engine.put(&key(number % 4), &number.to_be_bytes()).unwrap();
}

fn manifest(disk: &SimDisk) -> String {
    current_manifest(&disk.env()).unwrap().expect("there is a manifest")
}

fn manifests(disk: &SimDisk) -> Vec<String> {
    let entries = disk.fs().list().unwrap().into_iter().map(|entry| entry.name);
    entries.filter(|name| name.starts_with("MANIFEST_")).collect()
}

/// A database whose next background step replaces its manifest, at the latest
/// after the next few writes; the number of the next write.
fn almost_full() -> (SimDisk, Engine, u64) {
    let disk = SimDisk::new(31);
    let engine = open(&disk, options());
    let first = manifest(&disk);
    let mut number = 0;
    // Within a step of the limit.
    while disk.read_file(&first).map_or(0, |bytes| bytes.len()) < (4 << 20) - (400 << 10) {
        write(&engine, number);
        settle(&engine);
        number += 1;
        assert!(number < 500, "the manifest does not grow");
    }
    assert_eq!(manifests(&disk), [first]);
    disk.forget_history();
    (disk, engine, number)
}

/// Goes on until the manifest is another one; false if that never comes.
fn goes_on_to_rotate(disk: &SimDisk, engine: &Engine, number: &mut u64) -> bool {
    let old = manifests(disk);
    for _ in 0..40 {
        write(engine, *number);
        *number += 1;
        while engine.run_background_step().unwrap() {
            if manifests(disk) != old {
                return true;
            }
        }
    }
    false
}

#[test]
fn a_power_cut_anywhere_in_a_rotation_loses_nothing() {
    let (disk, engine, mut number) = almost_full();
    assert!(goes_on_to_rotate(&disk, &engine, &mut number));
    let expected = contents(&engine);
    let [new] = &manifests(&disk)[..] else { panic!("{:?}", manifests(&disk)) };
    assert!(disk.read_file(new).unwrap().len() < 2 << 20, "it is a snapshot");
    let history = disk.history();
    let created = history.iter().position(|op| op.contains(new.as_str()));
    let created = created.expect("the new manifest was created") as u64;
    let forgotten = disk.op_count() - history.len() as u64;
    let (mut images, mut old_counts, mut new_counts) = (0, 0, 0);
    for op in forgotten + created..=disk.op_count() {
        // A part of the images of each op, another one from op to op.
        for (choice, image) in disk.images(op).skip(op as usize % 5).step_by(5) {
            let found = manifest(&image);
            let engine = open(&image, options());
            assert!(contents(&engine) == expected, "after op {op}, {choice:?}");
            images += 1;
            *(if found == *new { &mut new_counts } else { &mut old_counts }) += 1;
        }
    }
    assert!(old_counts > 0 && new_counts > 0, "{old_counts} old and {new_counts} new of {images}");
}

/// Where the snapshot alone is longer than the edits may be.
#[test]
fn a_large_snapshot_is_not_written_again_at_each_edit() {
    let disk = SimDisk::new(31);
    let engine = open(&disk, Options { manifest_edit_bytes: 500 << 10, ..options() });
    for number in 0..60_u64 {
        // Other keys than before: the tables become more.
        engine.put(&key(number), &number.to_be_bytes()).unwrap();
        settle(&engine);
    }
    let [last] = &manifests(&disk)[..] else { panic!("{:?}", manifests(&disk)) };
    let bytes = disk.read_file(last).unwrap().len();
    assert!(bytes > 1500 << 10, "the snapshot is large, {bytes} bytes with its edits");
    let is_creation = |op: &&String| op.contains("create MANIFEST_");
    let created = disk.history().iter().filter(is_creation).count() as u64;
    let stats = engine.stats();
    let edits = stats.flushes + stats.compactions + stats.trivial_moves;
    assert!(created > 2 && created <= edits / 2, "{created} manifests for {edits} edits");
}

#[test]
fn a_rotation_without_room_has_to_wait() {
    for failure in [Failure::NoSpace, Failure::TooManyOpenFiles] {
        let (disk, engine, mut number) = almost_full();
        disk.inject(Fault::new(failure).of(Operation::Create).on("MANIFEST_*"));
        assert!(!goes_on_to_rotate(&disk, &engine, &mut number), "{failure:?}");
        assert_eq!(manifests(&disk).len(), 1);
        disk.clear_faults();
        assert!(goes_on_to_rotate(&disk, &engine, &mut number), "{failure:?}");
        let expected = contents(&engine);
        engine.close().unwrap();
        assert!(contents(&open(&disk, options())) == expected, "{failure:?}");
    }
}

/// Which of the two manifests counts is not known then.
#[test]
fn a_rotation_that_fails_ends_the_writing() {
    for operation in [Operation::Sync, Operation::Remove] {
        let (disk, engine, mut number) = almost_full();
        let old = manifest(&disk);
        let pattern = match operation {
            // Of the new one; the old one goes on to be synced.
            Operation::Sync => "MANIFEST_000002".to_owned(),
            _ => old,
        };
        disk.inject(Fault::new(Failure::Device).of(operation).on(pattern));
        let mut refused = None;
        for _ in 0..40 {
            if let Err(error) = engine.put(&key(number % 4), &number.to_be_bytes()) {
                refused = Some(error);
                break;
            }
            number += 1;
            while engine.run_background_step().unwrap_or(false) {}
        }
        assert!(matches!(refused, Some(Error::Poisoned { .. })), "{operation:?}: {refused:?}");
        let expected = contents(&engine);
        drop(engine);
        disk.clear_faults();
        assert!(contents(&open(&disk, options())) == expected, "{operation:?}");
    }
}

/// An edit that does not fit behind the zeros of a manifest finds that out
/// before it is written.
#[test]
fn an_edit_without_room_has_to_wait_and_leaves_the_manifest_as_it_is() {
    let disk = SimDisk::new(31);
    let engine = open(&disk, options());
    let name = manifest(&disk);
    let used = || disk.read_file(&name).unwrap().iter().rposition(|&byte| byte != 0).unwrap();
    disk.inject(Fault::new(Failure::NoSpace).of(Operation::ZeroFill).on(name.clone()));
    write(&engine, 0);
    let refused = engine.flush().unwrap_err();
    assert!(matches!(refused, Error::NoSpace { .. }), "{refused}");
    let stats = engine.stats();
    assert_eq!((stats.tables, stats.poisoned), (0, false), "{stats:?}");
    assert!(used() < 64 << 10, "what was prewritten is all there is: {}", used());
    disk.clear_faults();
    engine.flush().unwrap();
    assert_eq!((engine.stats().tables, contents(&engine).len()), (1, 1));
    assert!(used() > 64 << 10);
}
