//! The real backend against a real directory.
#![allow(clippy::disallowed_methods, reason = "looks at the files from outside")]

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use kv_core::Error;
use kv_env::{Env, Fs, RealFs};
use tempfile::TempDir;

fn open_new() -> (TempDir, RealFs) {
    let directory = tempfile::tempdir().unwrap();
    let fs = RealFs::open(directory.path(), false).unwrap();
    (directory, fs)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[track_caller]
fn assert_io<T>(result: Result<T, Error>, expected: ErrorKind) {
    match result.map(|_| ()) {
        Err(Error::Io { source, .. }) => assert_eq!(source.kind(), expected),
        other => panic!("expected {expected:?}, got {other:?}"),
    }
}

#[test]
fn a_directory_that_cannot_be_used_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("a/b");
    assert_io(RealFs::open(&missing, false), ErrorKind::NotFound);
    fs::write(directory.path().join("file"), b"x").unwrap();
    assert_io(RealFs::open(&directory.path().join("file"), false), ErrorKind::NotADirectory);
    assert_io(RealFs::open(&directory.path().join("file"), true), ErrorKind::NotADirectory);
    assert_io(RealFs::open(&directory.path().join("file/x"), true), ErrorKind::NotADirectory);

    RealFs::open(&missing, true).unwrap();
    assert_eq!(mode(&missing), 0o700);
    RealFs::open(&missing, true).unwrap();
    let env = Env::real(&missing, false).unwrap();
    assert_eq!(env.fs.describe(), missing.display().to_string());
}

#[test]
fn a_directory_that_is_read_only_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o500)).unwrap();
    // Permissions do not stop a privileged user, some file systems do.
    let is_root = rustix::process::geteuid().is_root();
    let read_only = if is_root { Path::new("/proc") } else { directory.path() };
    match RealFs::open(read_only, false) {
        Err(Error::Io { source, .. }) => assert!(
            matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem),
            "{source}"
        ),
        // Some systems let the superuser pass this check on every file system.
        Ok(fs) => assert!(fs.create("x").is_err()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn appends_land_behind_each_other_and_over_the_zeros() {
    let (directory, fs) = open_new();
    let mut file = fs.create("wal.log").unwrap();
    assert_eq!(mode(&directory.path().join("wal.log")), 0o600);
    file.append(b"hello ").unwrap();
    file.zero_fill(3 << 20).unwrap();
    assert_eq!(file.position(), 6);
    file.append(b"world").unwrap();
    file.zero_fill(10).unwrap();
    file.sync().unwrap();

    let bytes = fs.open("wal.log").unwrap().read_all().unwrap();
    assert_eq!(bytes.len(), 3 << 20);
    assert_eq!(&bytes[..11], b"hello world");
    assert!(bytes[11..].iter().all(|byte| *byte == 0));

    file.seal().unwrap();
    assert_eq!(fs::read(directory.path().join("wal.log")).unwrap(), b"hello world");
    assert_eq!(mode(&directory.path().join("wal.log")), 0o400);
    assert!(matches!(file.append(b"x"), Err(Error::InvalidArgument(_))));
    assert!(matches!(file.zero_fill(100), Err(Error::InvalidArgument(_))));
    assert!(matches!(file.seal(), Err(Error::InvalidArgument(_))));
    assert_io(fs.truncate("wal.log", 1), ErrorKind::PermissionDenied);
}

#[test]
fn a_sync_handle_outlives_the_writer_and_the_name() {
    let (_directory, fs) = open_new();
    let mut file = fs.create("wal.log").unwrap();
    let handle = file.sync_handle();
    file.append(b"x").unwrap();
    handle.sync().unwrap();
    drop(file);
    handle.sync().unwrap();
    fs.remove("wal.log").unwrap();
    handle.sync().unwrap();
}

#[test]
fn a_reader_keeps_the_bytes_of_a_removed_file_and_a_map_too() {
    let (_directory, fs) = open_new();
    let mut file = fs.create("sst_000001.db").unwrap();
    file.append(b"0123456789").unwrap();
    file.seal().unwrap();
    let reader = fs.open("sst_000001.db").unwrap();
    let map = reader.map().unwrap();
    fs.remove("sst_000001.db").unwrap();
    assert_io(fs.open("sst_000001.db"), ErrorKind::NotFound);
    assert_eq!(map.bytes(), b"0123456789");
    let mut buffer = [0; 4];
    assert_eq!(reader.read_at(8, &mut buffer).unwrap(), 2);
    assert_eq!(&buffer[..2], b"89");
    assert!(reader.read_exact_at(6, &mut buffer).unwrap());
    assert!(!reader.read_exact_at(7, &mut buffer).unwrap());
    reader.drop_cache().unwrap();
    assert_eq!(reader.read_all().unwrap(), b"0123456789");
}

#[test]
fn a_map_needs_the_length_that_the_file_had_when_opened() {
    let (_directory, fs) = open_new();
    let mut file = fs.create("a").unwrap();
    let empty = fs.open("a").unwrap();
    assert_eq!(empty.map().unwrap().bytes(), b"");
    assert!(empty.is_empty());
    file.append(b"x").unwrap();
    assert_io(empty.map(), ErrorKind::InvalidData);
}

#[test]
fn nothing_but_a_regular_file_is_opened_and_no_link_is_followed() {
    let (directory, fs) = open_new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), b"secret").unwrap();
    symlink(outside.path().join("secret"), directory.path().join("link")).unwrap();
    symlink(outside.path(), directory.path().join("directory_link")).unwrap();
    symlink(outside.path().join("new"), directory.path().join("dangling")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        directory.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    fs.create_dir("quarantine").unwrap();

    for name in ["link", "dangling", "pipe", "quarantine"] {
        assert_io(fs.open(name), ErrorKind::InvalidInput);
        assert_io(fs.create(name), ErrorKind::AlreadyExists);
        assert!(fs.truncate(name, 0).is_err(), "{name}");
    }
    assert_io(fs.open("directory_link/secret"), ErrorKind::NotADirectory);
    assert_io(fs.create("directory_link/new"), ErrorKind::NotADirectory);
    assert_io(fs.create_dir("link"), ErrorKind::AlreadyExists);
    assert_io(fs.create_dir("directory_link"), ErrorKind::AlreadyExists);
    assert!(fs.lock("link").is_err() && fs.lock("dangling").is_err() && fs.lock("pipe").is_err());
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
    assert!(!outside.path().join("new").exists());

    let regular: Vec<String> = fs
        .list()
        .unwrap()
        .into_iter()
        .filter(|entry| entry.is_regular_file)
        .map(|entry| entry.name)
        .collect();
    assert!(regular.is_empty(), "{regular:?}");
    assert_eq!(fs.list().unwrap().len(), 5);
}

#[test]
fn files_move_into_a_sub_directory() {
    let (directory, fs) = open_new();
    assert_io(fs.create("quarantine/a"), ErrorKind::NotFound);
    fs.create_dir("quarantine").unwrap();
    fs.create_dir("quarantine").unwrap();
    assert_eq!(mode(&directory.path().join("quarantine")), 0o700);
    fs.create("a").unwrap().append(b"damaged").unwrap();
    fs.rename("a", "quarantine/a").unwrap();
    fs.sync_dir().unwrap();
    assert_eq!(fs.open("quarantine/a").unwrap().read_all().unwrap(), b"damaged");
    assert_io(fs.open("a"), ErrorKind::NotFound);
    assert_io(fs.rename("quarantine", "b"), ErrorKind::IsADirectory);
}

#[test]
fn a_truncated_file_is_shorter_and_never_longer() {
    let (_directory, fs) = open_new();
    fs.create("wal.log").unwrap().append(b"0123456789").unwrap();
    fs.truncate("wal.log", 4).unwrap();
    assert_eq!(fs.open("wal.log").unwrap().read_all().unwrap(), b"0123");
    assert!(matches!(fs.truncate("wal.log", 5), Err(Error::InvalidArgument(_))));
    assert_io(fs.truncate("missing", 0), ErrorKind::NotFound);
}

#[test]
fn free_space_is_what_the_system_says() {
    let (_directory, fs) = open_new();
    assert!(fs.free_space().unwrap() > 0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_map_is_not_read_ahead() {
    let (directory, fs) = open_new();
    let mut file = fs.create("sst_000001.db").unwrap();
    file.append(&[1; 8192]).unwrap();
    file.seal().unwrap();
    let _map = fs.open("sst_000001.db").unwrap().map().unwrap();
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let path = directory.path().join("sst_000001.db").display().to_string();
    let of_file = maps.lines().skip_while(|line| !line.ends_with(&path));
    let flags = of_file.skip(1).find(|line| line.starts_with("VmFlags:")).unwrap();
    assert!(flags.split_whitespace().any(|flag| flag == "rr"), "{flags}");
}
