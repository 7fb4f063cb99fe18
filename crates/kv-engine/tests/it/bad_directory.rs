//! Directories that cannot hold a database, and names of ours that somebody
//! else has taken: each is refused with a sentence that names the culprit, and
//! nothing is created or changed.

#![allow(clippy::disallowed_methods, reason = "these directories are made by other hands")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use kv_engine::{Engine, Env, Error, FlushSize, Options, verify_directory};
use tempfile::TempDir;

/// Small segments: a new one is filled with zeros.
fn creating() -> Options {
    Options { memtable_flush_size: FlushSize::Entries(100), ..Options::default() }
}

fn existing_only() -> Options {
    Options { create_if_missing: false, ..creating() }
}

/// The error of opening `path`, which must be refused.
fn refusal(path: &Path, options: Options) -> Error {
    match Engine::open(path, options) {
        Err(error) => error,
        Ok(_) => panic!("{} opens", path.display()),
    }
}

/// Names of a directory, with the bytes of what is a file.
fn listing(path: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let bytes = |path: &Path| {
        let is_file = fs::symlink_metadata(path).unwrap().is_file();
        is_file.then(|| fs::read(path).unwrap())
    };
    entries.map(|entry| (entry.file_name().into_string().unwrap(), bytes(&entry.path()))).collect()
}

/// A database that was closed, with a log and a table.
fn database() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), creating()).unwrap();
    engine.put(b"apple", b"red").unwrap();
    engine.flush().unwrap();
    engine.put(b"banana", b"yellow").unwrap();
    engine.close().unwrap();
    directory
}

fn table_of(directory: &Path) -> String {
    let names = listing(directory);
    names.into_keys().find(|name| name.ends_with(".db")).expect("the database has a table")
}

#[test]
fn a_file_in_place_of_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    fs::write(&path, "precious").unwrap();
    for options in [creating(), existing_only()] {
        for path in [path.clone(), path.join("below")] {
            let message = refusal(&path, options.clone()).to_string();
            assert!(message.contains("data") && message.contains("Not a directory"), "{message}");
        }
    }
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_missing_directory_is_not_made_unless_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let error = refusal(&path, existing_only());
    assert!(error.is_not_found() && error.to_string().contains("data"), "{error}");
    assert!(!path.exists());
    Engine::open(&path, creating()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_directory_without_a_database_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("notes.txt"), "mine").unwrap();
    let before = listing(directory.path());
    let error = refusal(directory.path(), existing_only());
    assert!(error.is_not_found(), "{error}");
    assert!(error.to_string().contains("there is no database here"), "{error}");
    let env = Env::real(directory.path(), false).unwrap();
    let verified = verify_directory(&env, true);
    assert!(verified.as_ref().is_err_and(Error::is_not_found), "{verified:?}");
    assert_eq!(listing(directory.path()), before);
}

#[test]
fn a_directory_that_cannot_be_written() {
    let directory = database();
    let mode = |mode| fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode));
    mode(0o500).unwrap();
    if fs::write(directory.path().join("probe"), "").is_ok() {
        fs::remove_file(directory.path().join("probe")).unwrap();
        println!("not tested: permission bits do not apply to this user");
        return mode(0o700).unwrap();
    }
    let before = listing(directory.path());
    let message = refusal(directory.path(), creating()).to_string();
    assert!(message.contains("write to directory"), "{message}");
    assert_eq!(listing(directory.path()), before);
    mode(0o700).unwrap();
}

#[test]
fn a_directory_that_is_open_already() {
    let directory = database();
    let link = directory.path().with_extension("link");
    symlink(directory.path(), &link).unwrap();
    let engine = Engine::open(directory.path(), creating()).unwrap();
    // By its own path, and by another one that leads to it.
    for path in [directory.path(), &link, &directory.path().join(".")] {
        let error = refusal(path, creating());
        let pid = std::process::id();
        assert!(
            matches!(error, Error::Locked { holder_pid: Some(holder), .. } if holder == pid),
            "{error}"
        );
        assert!(error.to_string().contains(&format!("process {pid}")), "{error}");
    }
    assert_eq!(engine.get(b"apple").unwrap().unwrap(), b"red", "the holder is not disturbed");
    engine.close().unwrap();
    Engine::open(&link, creating()).unwrap();
    fs::remove_file(link).unwrap();
}

/// Something that is no file, in the way of one of ours.
fn plant(kind: &str, path: &Path, outside: &Path) {
    match kind {
        "link" => symlink(outside, path).unwrap(),
        "dangling link" => symlink("nowhere", path).unwrap(),
        "pipe" => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        _ => fs::create_dir(path).unwrap(),
    }
}

const KINDS: [&str; 4] = ["link", "dangling link", "pipe", "directory"];

#[test]
fn what_is_no_file_under_a_name_of_ours_is_refused() {
    let outside = tempfile::tempdir().unwrap();
    let precious = outside.path().join("precious");
    fs::write(&precious, "of somebody else").unwrap();
    for kind in KINDS {
        for name in [
            "wal.log",
            "wal_next.log",
            "wal_000009.log",
            "MANIFEST_000009",
            "sst_000009.db",
            "RESERVE",
        ] {
            let (empty, full) = (tempfile::tempdir().unwrap(), database());
            for directory in [empty.path(), full.path()] {
                let path = directory.join(name);
                let _ = fs::remove_file(&path);
                plant(kind, &path, &precious);
                let before = listing(directory);
                let message = refusal(directory, creating()).to_string();
                assert!(message.contains(name), "{kind}: {message}");
                assert!(message.contains("move it away"), "{kind}: {message}");
                assert_eq!(listing(directory), before, "{kind} called {name}");
            }
        }
    }
    assert_eq!(fs::read(&precious).unwrap(), b"of somebody else");
}

/// Even a link to the very table: it may lead to a file that changes.
#[test]
fn a_link_in_place_of_a_table_is_refused() {
    let (directory, outside) = (database(), tempfile::tempdir().unwrap());
    let name = table_of(directory.path());
    let (path, moved) = (directory.path().join(&name), outside.path().join(&name));
    fs::copy(&path, &moved).unwrap();
    fs::remove_file(&path).unwrap();
    symlink(&moved, &path).unwrap();
    let before = listing(directory.path());
    let message = refusal(directory.path(), creating()).to_string();
    assert!(message.contains(&name), "{message}");
    assert_eq!(listing(directory.path()), before);
}

#[test]
fn a_lock_that_is_no_file_is_refused() {
    let outside = tempfile::tempdir().unwrap();
    let precious = outside.path().join("precious");
    fs::write(&precious, "of somebody else").unwrap();
    for kind in KINDS {
        let directory = database();
        let path = directory.path().join("LOCK");
        fs::remove_file(&path).unwrap();
        plant(kind, &path, &precious);
        let before = listing(directory.path());
        let message = refusal(directory.path(), creating()).to_string();
        assert!(message.contains("LOCK"), "{kind}: {message}");
        assert_eq!(listing(directory.path()), before, "{kind}");
    }
    assert_eq!(fs::read(&precious).unwrap(), b"of somebody else");
}

#[test]
fn files_of_ours_are_for_their_owner_only() {
    let directory = database();
    for name in listing(directory.path()).into_keys() {
        let mode = fs::metadata(directory.path().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
        // Once closed, no file that holds data is ever written again.
        let holds_data = !["LOCK", "RESERVE"].contains(&name.as_str());
        assert_eq!(mode & 0o200 == 0, holds_data, "{name}: {mode:o}");
    }
}
