//! More tables than a process may open files.

use std::path::Path;
use std::sync::Arc;

use kv_engine::{Engine, FlushSize, Options, ReadMode};
use kv_env::{Env, Failure, Fault, FaultFs, Operation, SimDisk};

use crate::support::{contents, settle, tiny};

const TABLES: u64 = 200;

const MODES: [ReadMode; 2] = [ReadMode::Map, ReadMode::Pread];

/// Tables stay as they are flushed, and every read of a block asks the file.
fn options(read_mode: ReadMode, max_open_files: usize) -> Options {
    Options {
        memtable_flush_size: FlushSize::Entries(1000),
        compaction_sstable_threshold: 10_000,
        block_cache_bytes: 0,
        read_mode,
        max_open_files,
        ..tiny()
    }
}

/// All tables overlap.
fn add_table(engine: &Engine, number: u64) {
    engine.put(&key(number), &number.to_be_bytes()).unwrap();
    engine.put(b"newest", &number.to_be_bytes()).unwrap();
    engine.flush().unwrap();
}

fn key(number: u64) -> [u8; 8] {
    (number * 7 % TABLES).to_be_bytes()
}

/// How many descriptors of this process are of tables in `directory`.
#[allow(clippy::disallowed_methods, reason = "counts descriptors from outside")]
fn open_tables_in(directory: &Path) -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    descriptors
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| target.parent() == Some(directory))
        // The name of one that was removed ends otherwise.
        .filter(|target| target.to_string_lossy().contains(".db"))
        .count()
}

#[test]
fn hundreds_of_tables_are_read_checked_and_compacted_with_few_descriptors() {
    const MOST: usize = 5;
    for read_mode in MODES {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        let check = |most: usize, what: &str| {
            let count = open_tables_in(&path);
            assert!(count <= most, "{read_mode:?}, {what}: {count} files of tables are open");
        };
        let open = || {
            let env = Env::real(&path, true).unwrap();
            Engine::open_in(env, options(read_mode, MOST)).unwrap()
        };
        let engine = open();
        for number in 0..TABLES {
            add_table(&engine, number);
            check(MOST, "while tables are made");
        }
        engine.close().unwrap();
        drop(engine);

        let engine = open();
        assert_eq!(engine.stats().tables, TABLES);
        let most_for_reads = if read_mode == ReadMode::Map { 0 } else { MOST };
        check(most_for_reads, "after an open");
        for number in 0..TABLES {
            assert_eq!(engine.get(&key(number)).unwrap().unwrap(), number.to_be_bytes());
            check(most_for_reads, "after a get");
        }
        let truth = contents(&engine);
        assert_eq!(truth.len() as u64, TABLES + 1);
        check(most_for_reads, "after scans");
        engine.verify().unwrap();
        check(MOST, "after a check");
        while engine.scrub_step().unwrap() {
            check(MOST + 1, "in a scrub, which holds its table open");
        }
        let before = engine.snapshot();
        engine.compact().unwrap();
        check(MOST, "after a compaction");
        assert_eq!(contents(&engine), truth);
        // The snapshot still reads the files that the compaction has replaced.
        for number in 0..TABLES {
            assert_eq!(before.get(&key(number)).unwrap().unwrap(), number.to_be_bytes());
        }
        check(MOST, "after reads of replaced tables");
        drop(before);
        settle(&engine);
        check(MOST, "after their removal");
        assert_eq!(engine.stats().tables, 1);
        engine.close().unwrap();
    }
}

/// A read that finds no descriptor is refused with the cause; nothing ends, and
/// what is mapped or open is served.
#[test]
fn a_read_without_a_descriptor_is_refused_alone() {
    for read_mode in MODES {
        let disk = SimDisk::new(1);
        let fs = FaultFs::new(disk.fs());
        let env = Env { fs: Arc::new(fs.clone()), ..disk.env() };
        let engine = Engine::open_in(env, options(read_mode, 2)).unwrap();
        for number in 0..8 {
            add_table(&engine, number);
        }
        let truth = contents(&engine);
        fs.inject(Fault::new(Failure::TooManyOpenFiles).of(Operation::Open));
        let answers: Vec<_> = (0..8).map(|number| engine.get(&key(number))).collect();
        let refused = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!(refused, if read_mode == ReadMode::Map { 0 } else { 6 }, "{answers:?}");
        for error in answers.into_iter().filter_map(Result::err) {
            assert!(error.is_out_of_descriptors(), "{error}");
        }
        // A compaction that is asked for is refused too, and leaves nothing.
        let refused = engine.compact().unwrap_err();
        assert!(refused.is_out_of_descriptors(), "{refused}");
        engine.put(b"more", b"is written").unwrap();
        engine.delete(b"more").unwrap();
        fs.clear_faults();
        assert_eq!(contents(&engine), truth);
        // The refused one has let go of the tables that it was to compact.
        engine.compact().unwrap();
        assert_eq!(engine.stats().tables, 1);
        engine.verify().unwrap();
        assert_eq!(contents(&engine), truth);
        assert!(!engine.stats().poisoned);
    }
}
