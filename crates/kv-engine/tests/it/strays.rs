//! What does not belong to the database: other people's files, sub-folders,
//! links, and leftovers of our own. An open removes only the last, and only
//! those whose number shows that they are ours.

#![allow(clippy::disallowed_methods, reason = "what others put there is put there directly")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use kv_engine::{Background, Engine, FlushSize, Options};
use proptest::prelude::*;

use crate::support::{contents, settle, tiny};

fn options() -> Options {
    Options { reserve_bytes: Some(0), background: Background::Manual, ..tiny() }
}

/// A database of two tables, whose numbers are below 20, and of a log.
fn fill(directory: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let engine = Engine::open(directory, options()).unwrap();
    for number in 0..20u32 {
        engine.put(&number.to_be_bytes(), b"value").unwrap();
    }
    settle(&engine);
    let truth = contents(&engine);
    engine.close().unwrap();
    truth
}

/// Something in the directory that the engine did not make.
#[derive(Debug, Clone)]
enum Stray {
    File { name: String, bytes: Vec<u8> },
    Folder { name: String, bytes: Vec<u8> },
    LinkToFile { name: String },
    LinkToFolder { name: String },
    Dangling { name: String },
}

/// Names that are none of ours, some of them nearly.
fn foreign_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}\\.(txt|db|log|tmp)",
        "sst_[0-9]{1,5}\\.db",
        "sst_[0-9]{6}\\.db\\.(tmp|bak|1)",
        "(SST|sst-|compacted)[0-9]{6}\\.db",
        "wal_[0-9]{1,4}\\.log",
        "wal_[0-9]{6}\\.log~",
        "MANIFEST(|_[0-9]{1,3}|_[0-9]{6}x|-[0-9]{6})",
        "\\.[a-z]{1,6}",
        "(CURRENT|lock|reserve|Quarantine|wal\\.log\\.1|wal\\.logs)",
        "[ä€\\n\\\\ ]{1,4}",
    ]
}

/// Tables by their names, of numbers that no database this small has reached.
fn later_table_name() -> impl Strategy<Value = String> {
    (any::<bool>(), 500_000u64..2_000_000).prop_map(|(is_flushed, number)| {
        let kind = if is_flushed { "sst" } else { "compacted" };
        format!("{kind}_{number:06}.db")
    })
}

fn stray() -> impl Strategy<Value = Stray> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        3 => (foreign_name(), bytes()).prop_map(|(name, bytes)| Stray::File { name, bytes }),
        2 => (later_table_name(), bytes()).prop_map(|(name, bytes)| Stray::File { name, bytes }),
        1 => (foreign_name(), bytes()).prop_map(|(name, bytes)| Stray::Folder { name, bytes }),
        1 => foreign_name().prop_map(|name| Stray::LinkToFile { name }),
        1 => foreign_name().prop_map(|name| Stray::LinkToFolder { name }),
        1 => foreign_name().prop_map(|name| Stray::Dangling { name }),
    ]
}

impl Stray {
    fn name(&self) -> &str {
        match self {
            Stray::File { name, .. }
            | Stray::Folder { name, .. }
            | Stray::LinkToFile { name }
            | Stray::LinkToFolder { name }
            | Stray::Dangling { name } => name,
        }
    }

    fn plant(&self, directory: &Path, outside: &Path) {
        let path = directory.join(self.name());
        match self {
            Stray::File { bytes, .. } => fs::write(path, bytes).unwrap(),
            Stray::Folder { bytes, .. } => {
                fs::create_dir(&path).unwrap();
                // Even under a name of ours.
                fs::write(path.join("sst_000001.db"), bytes).unwrap();
            }
            Stray::LinkToFile { .. } => symlink(outside.join("precious"), path).unwrap(),
            Stray::LinkToFolder { .. } => symlink(outside, path).unwrap(),
            Stray::Dangling { .. } => symlink(outside.join("nothing"), path).unwrap(),
        }
    }
}

/// Everything below a folder: the bytes of files, the targets of links.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_str().unwrap().to_owned();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_symlink() {
            found.insert(name, fs::read_link(&path).unwrap().to_str().unwrap().into());
        } else if kind.is_dir() {
            found.insert(name, Vec::new());
            found.append(&mut tree(&path));
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_ours_is_reported_and_never_touched(
        strays in prop::collection::vec(stray(), 0..6),
        was_killed in any::<bool>(),
    ) {
        let (directory, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("precious"), "of somebody else").unwrap();
        let truth = fill(directory.path());
        if was_killed {
            // An unfinished table of ours: its number is reserved.
            let engine = Engine::open(directory.path(), options()).unwrap();
            std::mem::forget(engine);
        }
        let planted: BTreeMap<&str, &Stray> =
            strays.iter().map(|stray| (stray.name(), stray)).collect();
        let strays_only = |folder: &Path| {
            let mut found = tree(folder);
            let is_planted = |path: &str| {
                let below = path.strip_prefix(folder.to_str().unwrap()).unwrap();
                let first = below.trim_start_matches('/').split('/').next().unwrap();
                planted.contains_key(first)
            };
            found.retain(|path, _| is_planted(path));
            found
        };
        let target = if was_killed { copy_of(directory.path()) } else { directory };
        planted.values().for_each(|stray| stray.plant(target.path(), outside.path()));
        let before = strays_only(target.path());
        let outside_before = tree(outside.path());
        for _ in 0..2 {
            let engine = Engine::open(target.path(), options()).unwrap();
            prop_assert_eq!(&contents(&engine), &truth);
            let mut foreign = engine.recovery_report().foreign.clone();
            foreign.sort();
            let expected: Vec<&str> = planted.keys().copied().collect();
            prop_assert_eq!(foreign, expected);
            engine.compact().unwrap();
            engine.close().unwrap();
            prop_assert_eq!(&strays_only(target.path()), &before);
            prop_assert_eq!(&tree(outside.path()), &outside_before);
        }
    }
}

/// The files as a killed process leaves them, without its lock.
fn copy_of(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    copy
}

/// Leftovers of ours go, and only after an open that succeeds.
#[test]
fn leftovers_go_once_the_open_has_succeeded() {
    let directory = tempfile::tempdir().unwrap();
    let truth = fill(directory.path());
    let names = || -> Vec<String> {
        let entries = fs::read_dir(directory.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let table = names().into_iter().find(|name| name.ends_with(".db")).expect("there are tables");
    // A number that was in use and is free again.
    let orphan = directory.path().join("sst_000001.db");
    let is_free = !orphan.exists();
    let orphan = if is_free { orphan } else { directory.path().join("compacted_000001.db") };
    fs::write(&orphan, b"the beginning of a table").unwrap();
    // A table is missing: refused, and nothing is tidied up.
    let away = directory.path().join("away");
    fs::rename(directory.path().join(&table), &away).unwrap();
    let before = names();
    assert!(Engine::open(directory.path(), options()).is_err());
    assert_eq!(names(), before);
    fs::rename(&away, directory.path().join(&table)).unwrap();
    let engine = Engine::open(
        directory.path(),
        Options { memtable_flush_size: FlushSize::Entries(1000), ..options() },
    )
    .unwrap();
    assert_eq!(contents(&engine), truth);
    let orphan = orphan.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(engine.recovery_report().removed.as_slice(), std::slice::from_ref(&orphan));
    assert!(!names().contains(&orphan));
}
