//! Tables read through maps and by calls: the same answers, the same errors,
//! and only what is finished is mapped.

use kv_engine::{Engine, Error, Options, ReadMode};
use kv_env::{CrashChoice, DeviceFault, Failure, Fault, Operation, SimDisk};

use crate::support::{contents, open, settle, tiny};

const MODES: [ReadMode; 2] = [ReadMode::Map, ReadMode::Pread];

fn options(read_mode: ReadMode) -> Options {
    let mut options = Options { read_mode, block_cache_bytes: 0, ..tiny() };
    options.table.block_bytes = 128;
    options
}

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// Two overlapping tables in level 0 and a write in memory.
fn with_two_tables() -> SimDisk {
    let disk = SimDisk::new(1);
    let engine = open(&disk, options(ReadMode::Pread));
    for round in 0..2u32 {
        for number in 0..7 {
            engine.put(&key(number), &[round as u8; 60]).unwrap();
        }
        engine.flush().unwrap();
    }
    engine.put(&key(100), b"in memory").unwrap();
    drop(engine);
    disk.crash(CrashChoice::All)
}

fn tables(disk: &SimDisk) -> Vec<String> {
    let names = disk.fs().list().unwrap().into_iter().map(|entry| entry.name);
    names.filter(|name| name.ends_with(".db")).collect()
}

fn background_work(engine: &Engine) -> kv_engine::Result<()> {
    while engine.run_background_step()? {}
    Ok(())
}

/// Compaction meets a damaged block: it stops, its inputs stay, nothing of the
/// damage reaches a new table, and reads of everything else go on.
#[test]
fn compaction_never_passes_damage_on() {
    // Damage in the first block, and in the last one.
    let cases = MODES.into_iter().flat_map(|mode| [(mode, 0, 6), (mode, 6, 0)]);
    for (mode, damaged, sound) in cases {
        let disk = with_two_tables();
        let before = tables(&disk);
        assert_eq!(before.len(), 2);
        let newest = before.last().unwrap();
        let whole = disk.read_file(newest).unwrap();
        let is_value = |part: &[u8]| *part == [1; 60];
        let mut values = whole.windows(60);
        let place =
            if damaged == 0 { values.position(is_value) } else { values.rposition(is_value) };
        disk.corrupt(newest, place.unwrap() as u64 + 5, 1);
        let engine = open(&disk, options(mode));
        let outcome = background_work(&engine);
        let what = format!("{mode:?}, key {damaged}: {outcome:?}");
        match outcome {
            Err(Error::Poisoned { cause }) => assert!(cause.contains(newest), "{cause}"),
            other => panic!("{mode:?}: {other:?}"),
        }
        assert_eq!(tables(&disk), before, "{what}: the inputs stay, and nothing else");
        assert!(matches!(engine.get(&key(damaged)), Err(Error::Corruption { .. })), "{what}");
        assert_eq!(engine.get(&key(sound)).unwrap().unwrap(), [1; 60], "{what}: others are served");
        assert_eq!(engine.get(&key(100)).unwrap().unwrap(), *b"in memory", "{what}");
        drop(engine);
        // With the right file put back, all is as it was.
        disk.write_file(newest, &whole);
        let engine = open(&disk, options(mode));
        settle(&engine);
        engine.verify().unwrap();
        assert_eq!(contents(&engine).len(), 8);
    }
}

/// A map that the system refuses costs speed, not the table.
#[test]
fn a_map_that_fails_is_read_by_calls() {
    let disk = with_two_tables();
    let truth = contents(&open(&disk.crash(CrashChoice::All), options(ReadMode::Pread)));
    for failure in [Failure::OutOfMemory, Failure::Device, Failure::TooManyOpenFiles] {
        let disk = disk.crash(CrashChoice::All);
        disk.inject(Fault::new(failure).of(Operation::Map));
        let engine = open(&disk, options(ReadMode::Map));
        assert_eq!(contents(&engine), truth, "{failure:?}");
        engine.compact().unwrap();
        assert_eq!(contents(&engine), truth, "{failure:?}");
    }
}

/// Every table is mapped only when it is sealed and synced, and never changes while
/// a map of it is alive.
#[test]
fn only_finished_tables_are_mapped() {
    let disk = SimDisk::new(2);
    let engine = open(&disk, options(ReadMode::Map));
    for number in 0..100 {
        engine.put(&key(number % 23), &number.to_be_bytes()).unwrap();
        if number % 10 == 0 {
            settle(&engine);
            // Maps of old versions stay alive with their snapshots.
            let snapshot = engine.snapshot();
            engine.compact().unwrap();
            snapshot.get(&key(1)).unwrap();
        }
    }
    engine.close().unwrap();
    assert_eq!(disk.violations(), Vec::<String>::new());
}

/// A device that cannot read a block: by calls a typed error of that block; through
/// a map the process ends, and the next open, by calls, serves the rest.
#[test]
fn an_unreadable_block_is_an_error_or_the_end_of_the_process() {
    let disk = with_two_tables();
    let newest = tables(&disk).pop().unwrap();
    // Only when the data blocks are touched: the rest of the file can be read.
    let unreadable = || DeviceFault::unreadable(80..200).on(newest.as_str());

    let mapped = disk.crash(CrashChoice::All);
    mapped.inject_device(unreadable());
    let _ = Engine::open_in(mapped.env(), options(ReadMode::Map));
    assert!(mapped.is_stopped(), "a map of such a file ends the process");

    let again = mapped.kill(mapped.op_count());
    again.inject_device(unreadable());
    let engine = open(&again, options(ReadMode::Pread));
    assert!(matches!(engine.get(&key(0)), Err(Error::Io { .. })));
    assert_eq!(engine.get(&key(6)).unwrap().unwrap(), [1; 60]);
    assert_eq!(engine.get(&key(100)).unwrap().unwrap(), *b"in memory");
}

/// One history, both modes and a change of mode at every reopening.
#[test]
fn both_modes_answer_alike() {
    let run = |mode_of_round: fn(usize) -> ReadMode| {
        let disk = SimDisk::new(3);
        let mut states = Vec::new();
        for round in 0..4 {
            let engine = open(&disk, options(mode_of_round(round)));
            for number in 0..40u32 {
                engine.put(&key(number * 7 % 19), &(number + round as u32).to_be_bytes()).unwrap();
                if number % 9 == 0 {
                    settle(&engine);
                }
            }
            states.push(contents(&engine));
            engine.close().unwrap();
        }
        states
    };
    let mapped = run(|_| ReadMode::Map);
    assert_eq!(run(|_| ReadMode::Pread), mapped);
    assert_eq!(run(|round| MODES[round % 2]), mapped);
}
