//! One holder per directory.
#![allow(clippy::disallowed_methods, reason = "plays the other process")]

use std::fs;
use std::os::unix::fs::symlink;

use kv_core::Error;
use kv_env::{Fs, RealFs};
use rustix::fs::FlockOperation;

#[track_caller]
fn holder<T>(result: Result<T, Error>) -> Option<u32> {
    match result.map(|_| ()) {
        Err(Error::Locked { holder_pid, .. }) => holder_pid,
        other => panic!("expected Locked, got {other:?}"),
    }
}

#[test]
fn a_second_handle_of_this_process_is_refused_until_the_first_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link");
    symlink(directory.path(), &link).unwrap();
    let first = RealFs::open(directory.path(), false).unwrap();
    let second = RealFs::open(&link, false).unwrap();

    let lock = first.lock("LOCK").unwrap();
    let text = fs::read_to_string(directory.path().join("LOCK")).unwrap();
    assert_eq!(text.trim(), std::process::id().to_string());
    assert_eq!(holder(first.lock("LOCK")), Some(std::process::id()));
    assert_eq!(holder(second.lock("LOCK")), Some(std::process::id()));
    drop(lock);
    drop(second.lock("LOCK").unwrap());
    drop(first.lock("LOCK").unwrap());
}

#[test]
fn another_process_is_named_by_its_id() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("LOCK");
    fs::write(&path, b"4242424\n").unwrap();
    // A descriptor of its own is to flock what another process is.
    let other = fs::File::open(&path).unwrap();
    rustix::fs::flock(&other, FlockOperation::LockExclusive).unwrap();

    let fs = RealFs::open(directory.path(), false).unwrap();
    assert_eq!(holder(fs.lock("LOCK")), Some(4_242_424));
    // A refused attempt leaves no registration behind.
    assert_eq!(holder(fs.lock("LOCK")), Some(4_242_424));
    drop(other);
    drop(fs.lock("LOCK").unwrap());
    // The shorter id replaced the longer one wholly.
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("{}\n", std::process::id()));
}

#[test]
fn a_lock_file_without_an_id_still_locks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("LOCK");
    fs::write(&path, b"\xff not a number").unwrap();
    let other = fs::File::open(&path).unwrap();
    rustix::fs::flock(&other, FlockOperation::LockExclusive).unwrap();
    let fs = RealFs::open(directory.path(), false).unwrap();
    assert_eq!(holder(fs.lock("LOCK")), None);
}
