//! The scrub: rot is found before anybody asks for the key, and finding it
//! changes nothing else.

use std::sync::Arc;

use kv_engine::{Background, Engine, FlushSize, KeyRange, Options, ReadMode, ScrubFinding};
use kv_env::{DeviceFault, Env, Failure, Fault, FaultFs, Operation, SimDisk};

use crate::support::{contents, open, settle, tiny};

/// Blocks are small, so that a table has some; what is flushed stays where it is.
fn options() -> Options {
    let mut options = Options {
        memtable_flush_size: FlushSize::Entries(1000),
        compaction_sstable_threshold: 8,
        ..tiny()
    };
    options.table.block_bytes = 128;
    options
}

fn key(table: usize, number: usize) -> Vec<u8> {
    format!("{table}/{number:03}").into_bytes()
}

fn value(number: usize) -> Vec<u8> {
    format!("value {number}, ").repeat(1 + number % 4).into_bytes()
}

/// The keys of one table.
const KEYS: usize = 12;

/// Adds a table to the tree.
fn write_table(engine: &Engine, table: usize) {
    for number in 0..KEYS {
        engine.put(&key(table, number), &value(number)).unwrap();
    }
    engine.flush().unwrap();
}

/// A database of three tables in level 0.
fn specimen(options: Options) -> (SimDisk, Engine) {
    let disk = SimDisk::new(7);
    let engine = open(&disk, options);
    (0..3).for_each(|table| write_table(&engine, table));
    assert_eq!(engine.stats().tables, 3);
    (disk, engine)
}

fn tables(disk: &SimDisk) -> Vec<(String, u64)> {
    let files = disk.fs().list().unwrap();
    files
        .into_iter()
        .filter(|file| file.name.ends_with(".db"))
        .map(|file| (file.name, file.len))
        .collect()
}

/// One pass, and what all passes so far have found.
fn pass(engine: &Engine) -> Vec<ScrubFinding> {
    let before = engine.stats().scrub_passes;
    while engine.scrub_step().unwrap() {}
    assert_eq!(engine.stats().scrub_passes, before + 1);
    engine.scrub_findings()
}

fn covers(finding: &ScrubFinding, name: &str, offset: u64) -> bool {
    let range = finding.offset..finding.offset + finding.bytes;
    finding.file == name && range.contains(&offset)
}

#[test]
fn rot_anywhere_in_any_table_is_found_in_one_pass_and_named_once() {
    for read_mode in [ReadMode::Map, ReadMode::Pread] {
        let (probe, engine) = specimen(Options { read_mode, ..options() });
        drop(engine);
        for (name, len) in tables(&probe) {
            for offset in (0..len).step_by(29) {
                let (disk, engine) = specimen(Options { read_mode, ..options() });
                disk.corrupt(&name, offset, 0x10);
                let found = pass(&engine);
                let what = format!("{read_mode:?}, {name}, byte {offset}");
                let [finding] = &found[..] else { panic!("{what}: {found:?}") };
                assert!(covers(finding, &name, offset), "{what}: {finding:?}");
                assert_eq!(pass(&engine), found, "{what}: found again, listed once");
                assert_eq!(engine.stats().scrub_findings, 1, "{what}");
                engine.put(b"later", b"value").unwrap();
            }
        }
    }
}

#[test]
fn an_intact_database_is_read_whole_and_nothing_is_found_or_changed() {
    let (disk, engine) = specimen(options());
    let truth = contents(&engine);
    let ops = disk.op_count();
    for passes in 1..=3 {
        assert_eq!(pass(&engine), []);
        assert_eq!(engine.stats().scrubbed_bytes, passes * engine.stats().table_bytes);
    }
    assert_eq!(disk.op_count(), ops, "a scrub changes nothing on the disk");
    assert_eq!(contents(&engine), truth);
}

#[test]
fn an_empty_database_is_a_pass_of_nothing() {
    let engine = open(&SimDisk::new(1), options());
    assert_eq!(pass(&engine), []);
    assert_eq!(engine.stats().scrubbed_bytes, 0);
}

#[test]
fn what_is_not_damaged_can_be_read_and_written() {
    let (disk, engine) = specimen(Options { read_mode: ReadMode::Pread, ..options() });
    let (name, len) = tables(&disk).swap_remove(1);
    disk.corrupt(&name, len / 3, 0xff);
    let [finding] = &pass(&engine)[..] else { panic!("one block is damaged") };
    let intact = (0..KEYS).filter(|&number| {
        engine.get(&key(1, number)).is_ok_and(|found| found.unwrap() == value(number)[..])
    });
    assert!((1..KEYS).contains(&intact.count()), "some of its table: {finding:?}");
    for table in [0, 2] {
        assert_eq!(engine.get(&key(table, 5)).unwrap().unwrap(), value(5)[..]);
    }
    engine.put(b"later", b"value").unwrap();
    assert!(!engine.stats().poisoned);
    assert_eq!(tables(&disk).len(), 3, "nothing is removed");
}

#[test]
fn a_scrub_is_no_read_in_the_statistics_and_fills_no_cache() {
    let read_mode = ReadMode::Pread;
    let (disk, engine) = specimen(Options { read_mode, ..options() });
    let before = engine.stats();
    assert_eq!(pass(&engine), []);
    let after = engine.stats();
    assert_eq!((after.gets, after.tables_probed, after.scans), (0, 0, 0));
    assert_eq!(after.scrubbed_bytes, before.table_bytes);
    // Had the scrub left a block in the cache, it would be served from there.
    disk.inject_device(DeviceFault::unreadable(0..u64::MAX).on("*.db"));
    for number in 0..KEYS {
        assert!(engine.get(&key(1, number)).is_err(), "{number} comes from the disk");
    }
}

#[test]
fn what_cannot_be_read_is_a_finding_and_no_end_of_writing() {
    for operation in [Operation::Open, Operation::DropCache, Operation::Read] {
        let disk = SimDisk::new(7);
        let fs = FaultFs::new(disk.fs());
        let env = Env { fs: Arc::new(fs.clone()), ..disk.env() };
        let engine = Engine::open_in(env, options()).unwrap();
        (0..3).for_each(|table| write_table(&engine, table));
        let (name, _) = tables(&disk).swap_remove(1);
        fs.inject(Fault::new(Failure::Device).of(operation).on(name.as_str()).times(1));
        let found = pass(&engine);
        let [finding] = &found[..] else { panic!("{operation:?}: {found:?}") };
        assert_eq!((&finding.file, finding.offset), (&name, 0), "{operation:?}");
        assert!(finding.what.contains("cannot be read: "), "{finding:?}");
        assert!(!engine.stats().poisoned, "{operation:?}");
        engine.put(b"later", b"value").unwrap();
        engine.flush().unwrap();
    }
}

#[test]
fn a_table_that_somebody_took_away_is_a_finding() {
    let (disk, engine) = specimen(options());
    let (name, len) = tables(&disk).swap_remove(0);
    disk.fs().remove(&name).unwrap();
    let [finding] = &pass(&engine)[..] else { panic!("one table is missing") };
    assert_eq!((&finding.file, finding.offset, finding.bytes), (&name, 0, len));
}

#[test]
fn without_a_descriptor_the_scrub_waits_and_misses_nothing() {
    let disk = SimDisk::new(7);
    let fs = FaultFs::new(disk.fs());
    let env = Env { fs: Arc::new(fs.clone()), ..disk.env() };
    let engine = Engine::open_in(env, options()).unwrap();
    (0..3).for_each(|table| write_table(&engine, table));
    let (name, len) = tables(&disk).swap_remove(1);
    disk.corrupt(&name, len / 2, 1);
    fs.inject(Fault::new(Failure::TooManyOpenFiles).of(Operation::Open).after(1).times(1));
    let error = engine.scrub_step().unwrap_err();
    assert!(error.is_out_of_descriptors(), "{error}");
    assert_eq!(engine.scrub_findings(), []);
    let found = pass(&engine);
    assert!(matches!(&found[..], [finding] if finding.file == name), "{found:?}");
    assert_eq!(engine.stats().scrubbed_bytes, engine.stats().table_bytes, "none twice");
}

/// The first table is larger than a slice, so that the pass stops in its middle.
#[test]
fn tables_come_and_go_in_the_middle_of_a_pass() {
    let disk = SimDisk::new(7);
    let engine = open(&disk, options());
    for number in 0..3 {
        engine.put(&key(0, number), &vec![b'x'; 700 << 10]).unwrap();
    }
    engine.flush().unwrap();
    write_table(&engine, 1);
    write_table(&engine, 0);
    let [begun, second, _] = &tables(&disk)[..] else { panic!("three tables") };
    assert!(engine.scrub_step().unwrap(), "a slice is not the whole table");
    write_table(&engine, 2);
    engine.compact_range(KeyRange::prefix(b"0/")).unwrap();
    settle(&engine);
    let now = tables(&disk);
    assert!(!now.contains(begun) && now.contains(second), "{now:?}");

    let read = engine.stats().scrubbed_bytes;
    assert!(!engine.scrub_step().unwrap(), "new tables are for the next pass");
    assert_eq!(engine.stats().scrubbed_bytes - read, second.1);
    assert_eq!(engine.scrub_findings(), []);

    let (name, len) = now.last().unwrap();
    disk.corrupt(name, len / 2, 1);
    let found = pass(&engine);
    assert!(matches!(&found[..], [finding] if covers(finding, name, len / 2)), "{found:?}");
}

/// A ruined disk makes no endless list.
#[test]
fn the_list_of_findings_is_bounded() {
    let disk = SimDisk::new(7);
    let engine = open(&disk, options());
    for number in 0..700 {
        engine.put(&key(0, number), &[7; 40]).unwrap();
    }
    engine.flush().unwrap();
    let (name, len) = tables(&disk).swap_remove(0);
    (0..len).step_by(64).for_each(|offset| disk.corrupt(&name, offset, 1));
    assert_eq!(pass(&engine).len(), 100);
    assert_eq!(engine.stats().scrub_findings, 100);
}

#[test]
fn the_thread_finds_rot_by_itself_and_ends_with_the_engine() {
    let threaded = |rate| Options {
        background: Background::Threads,
        scrub_bytes_per_second: rate,
        ..options()
    };
    let (disk, engine) = specimen(options());
    let (name, len) = tables(&disk).swap_remove(2);
    engine.close().unwrap();
    drop(engine);
    disk.corrupt(&name, len / 3, 1);
    let engine = open(&disk, threaded(1 << 30));
    while engine.stats().scrub_passes == 0 {
        std::thread::yield_now();
    }
    let found = engine.scrub_findings();
    assert!(matches!(&found[..], [finding] if covers(finding, &name, len / 3)), "{found:?}");
    // It rests for a week now, or for an hour after its first slice; a test
    // that hangs here says that the close waits for that.
    engine.close().unwrap();
    drop(engine);
    let engine = open(&disk, threaded(1));
    while engine.stats().scrubbed_bytes == 0 {
        std::thread::yield_now();
    }
    engine.close().unwrap();
    assert!(engine.scrub_step().is_err_and(|error| matches!(error, kv_engine::Error::Closed)));
}
