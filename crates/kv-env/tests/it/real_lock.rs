//! One holder per directory.
#![allow(clippy::disallowed_methods, reason = "plays the other process")]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use kv_core::Error;
use kv_env::{Fs, RealFs};
use rustix::fs::FlockOperation;

use crate::child::Other;
use crate::support::Mount;

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
    // Closing would not do while another test starts a process: until it runs
    // its own program that shares all descriptors.
    rustix::fs::flock(&other, FlockOperation::Unlock).unwrap();
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

#[test]
fn another_process_keeps_this_one_out_until_it_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let other = Other::play("holds the lock", directory.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link");
    symlink(directory.path(), &link).unwrap();
    for path in [directory.path(), &link] {
        let fs = RealFs::open(path, false).unwrap();
        assert_eq!(holder(fs.lock("LOCK")), Some(other.id()));
    }
    drop(other);
    let fs = RealFs::open(&link, false).unwrap();
    drop(fs.lock("LOCK").unwrap());
}

#[test]
fn a_bind_mount_is_no_way_around_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::new(&["--bind", directory.path().to_str().unwrap()]) else { return };
    let first = RealFs::open(directory.path(), false).unwrap();
    let second = RealFs::open(mount.path(), false).unwrap();
    let lock = first.lock("LOCK").unwrap();
    assert_eq!(holder(second.lock("LOCK")), Some(std::process::id()));
    drop(lock);
    let other = Other::play("holds the lock", mount.path());
    assert_eq!(holder(first.lock("LOCK")), Some(other.id()));
}

#[test]
#[cfg(target_os = "linux")]
fn a_program_that_is_started_inherits_no_file_of_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let fs = RealFs::open(directory.path(), false).unwrap();
    let lock = fs.lock("LOCK").unwrap();
    let log = fs.create("wal.log").unwrap();
    let reader = fs.open("wal.log").unwrap();
    // It waits for the end of its input.
    let mut child =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let inherited: Vec<_> = fs::read_dir(format!("/proc/{}/fd", child.id()))
        .unwrap()
        // The program closes files of its own while it starts.
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.starts_with(directory.path()))
        .collect();
    drop((lock, log, reader));
    let again = fs.lock("LOCK").map(drop);
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(inherited.is_empty(), "{inherited:?}");
    again.unwrap();
}

#[test]
fn a_dropped_lock_is_free_although_a_child_process_shares_its_descriptor() {
    let directory = tempfile::tempdir().unwrap();
    let fs = RealFs::open(directory.path(), false).unwrap();
    let lock = fs.lock("LOCK").unwrap();
    // A second descriptor of the same open file is what a fork makes.
    let shared = fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            fs::read_link(path).is_ok_and(|target| target == directory.path().join("LOCK"))
        })
        .unwrap();
    let number: i32 = shared.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let own = rustix::process::pidfd_open(
        rustix::process::getpid(),
        rustix::process::PidfdFlags::empty(),
    );
    let twin = rustix::process::pidfd_getfd(
        own.unwrap(),
        number,
        rustix::process::PidfdGetfdFlags::empty(),
    );
    let twin = twin.unwrap();
    drop(lock);
    drop(fs.lock("LOCK").unwrap());
    drop(twin);
}
