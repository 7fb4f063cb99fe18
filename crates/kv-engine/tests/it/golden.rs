//! Databases as earlier versions left them: this version opens and reads them,
//! writes to them, and finds all of it again.
//!
//! `tests/golden/v1` holds two of format version 1, the first one. A release
//! that changes the format adds a directory and leaves the old ones alone. To
//! make them anew, for a format that was never released:
//! `UPDATE_GOLDEN=1 cargo test -p kv-engine --test it golden`.

#![allow(clippy::disallowed_methods, reason = "the golden files are files of the repository")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use kv_engine::{
    Compression, Engine, FlushSize, Options, ReadMode, TableOptions, verify_directory,
};
use kv_env::SimDisk;

use crate::support::{contents, open, settle, tiny};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// How a golden database was left.
const ENDS: [&str; 2] = ["closed", "killed"];

fn folder(end: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(end)
}

fn options() -> Options {
    let table =
        TableOptions { compression: Compression::Lz4, block_bytes: 512, ..TableOptions::default() };
    let memtable_flush_size = FlushSize::Entries(40);
    Options { memtable_flush_size, table, reserve_bytes: Some(0), ..tiny() }
}

/// What is in them: overwritten, deleted, long and empty values, in tables of
/// two levels and in the log.
fn fill(engine: &Engine) -> State {
    let mut state = State::new();
    for number in 0..150u32 {
        let key = format!("key {:03}", number * 37 % 90).into_bytes();
        if number % 7 == 3 {
            engine.delete(&key).unwrap();
            state.remove(&key);
        } else {
            let value = format!("value {number}, ").repeat(number as usize % 9).into_bytes();
            engine.put(&key, &value).unwrap();
            state.insert(key, value);
        }
        if number == 70 {
            engine.compact().unwrap();
        }
        if number % 30 == 29 {
            settle(engine);
        }
    }
    state
}

/// Writes the golden files with this version.
fn make(end: &str) {
    let disk = SimDisk::new(33);
    let engine = open(&disk, options());
    fill(&engine);
    if end == "closed" {
        engine.close().unwrap();
    }
    let killed = disk.kill(disk.op_count());
    fs::create_dir_all(folder(end)).unwrap();
    for entry in killed.fs().list().unwrap() {
        fs::write(folder(end).join(&entry.name), killed.read_file(&entry.name).unwrap()).unwrap();
    }
}

fn load(end: &str) -> SimDisk {
    let disk = SimDisk::new(1);
    for entry in fs::read_dir(folder(end)).expect("the golden files are there") {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        disk.write_file(&name, &fs::read(entry.path()).unwrap());
    }
    disk
}

#[test]
fn databases_of_version_1_are_read_and_written() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        ENDS.into_iter().for_each(make);
    }
    let truth = fill(&open(&SimDisk::new(1), options()));
    assert!(truth.len() > 50);
    for end in ENDS {
        for read_mode in [ReadMode::Map, ReadMode::Pread] {
            let disk = load(end);
            let report = verify_directory(&disk.env(), true).unwrap();
            assert!(report.problems.is_empty(), "{end}: {report:?}");
            let options = Options { read_mode, ..options() };
            let engine = open(&disk, options.clone());
            let report = engine.recovery_report();
            assert_eq!(report.clean_shutdown, end == "closed", "{report:?}");
            assert!(report.tables >= 2 && report.writes_replayed > 0, "{end}: {report:?}");
            let mut state: State = contents(&engine).into_iter().collect();
            assert_eq!(state, truth, "{end}");
            engine.put(b"new", b"value").unwrap();
            engine.compact().unwrap();
            engine.close().unwrap();
            state.insert(b"new".to_vec(), b"value".to_vec());
            let engine = open(&disk, options);
            assert_eq!(contents(&engine).into_iter().collect::<State>(), state, "{end}");
        }
    }
}
