//! What the real backend refuses to use, and the modes of what it makes.
#![allow(clippy::disallowed_methods, reason = "plants what is to be refused")]

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use kv_core::{Error, Result};
use kv_env::{Env, Fs, RealFs, RealOptions, SimDisk};
use tempfile::TempDir;

use crate::child::Other;
use crate::support::Mount;

fn open_new() -> (TempDir, RealFs) {
    let directory = tempfile::tempdir().unwrap();
    let fs = RealFs::open(directory.path(), false).unwrap();
    (directory, fs)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The kind and text of the refusal, which must name `path`.
#[track_caller]
fn refusal<T>(result: Result<T>, path: &Path) -> (ErrorKind, String) {
    match result.map(|_| ()) {
        Err(Error::Io { path: named, source, .. }) => {
            assert_eq!(Path::new(&named), path);
            (source.kind(), source.to_string())
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Every call that uses an existing file.
fn uses(fs: &RealFs, name: &str) -> Vec<Result<()>> {
    vec![
        fs.open(name).map(drop),
        fs.truncate(name, 0),
        fs.reserve(name, 10),
        if name.contains('/') { fs.open(name).map(drop) } else { fs.lock(name).map(drop) },
    ]
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    let directory = tempfile::tempdir().unwrap();
    let other = Other::play("creates everything under a strange umask", directory.path());
    for umask in ["tight", "loose"] {
        let parent = directory.path().join(umask);
        assert_eq!(mode(&parent), 0o700);
        for (name, expected) in [
            ("", 0o700),
            ("file", 0o600),
            ("sealed", 0o400),
            ("directory", 0o700),
            ("directory/file", 0o600),
            ("reserve", 0o600),
            ("LOCK", 0o600),
        ] {
            let found = mode(&parent.join("inner").join(name));
            assert_eq!(found, expected, "{umask} {name:?}: {found:o}");
        }
    }
    drop(other);
}

#[test]
fn a_directory_that_others_can_write_to_is_refused_with_the_command_that_mends_it() {
    let directory = tempfile::tempdir().unwrap();
    for bits in [0o770, 0o702, 0o1777] {
        set_mode(directory.path(), bits);
        for create in [false, true] {
            let refused = refusal(RealFs::open(directory.path(), create), directory.path());
            assert_eq!(refused.0, ErrorKind::PermissionDenied);
            let command = format!("`chmod go-w '{}'`", directory.path().display());
            assert!(refused.1.contains(&command), "{}", refused.1);
        }
    }
    set_mode(directory.path(), 0o755);
    let fs = RealFs::open(directory.path(), false).unwrap();
    fs.create_dir("quarantine").unwrap();
    fs.create("quarantine/a").unwrap();
    let sub = directory.path().join("quarantine");
    set_mode(&sub, 0o777);
    assert_eq!(refusal(fs.open("quarantine/a"), &sub).0, ErrorKind::PermissionDenied);
    assert_eq!(refusal(fs.create("quarantine/b"), &sub).0, ErrorKind::PermissionDenied);
    set_mode(&sub, 0o700);
    fs.open("quarantine/a").unwrap();
}

#[test]
fn a_file_that_others_can_write_to_is_refused_by_every_call_that_uses_it() {
    let (directory, fs) = open_new();
    let path = directory.path().join("MANIFEST");
    fs.create("MANIFEST").unwrap().append(b"0123456789").unwrap();
    for bits in [0o620, 0o602] {
        set_mode(&path, bits);
        for used in uses(&fs, "MANIFEST") {
            let (kind, text) = refusal(used, &path);
            assert_eq!(kind, ErrorKind::PermissionDenied);
            assert!(text.contains(&format!("`chmod go-w '{}'`", path.display())), "{text}");
        }
    }
    assert_eq!(fs::read(&path).unwrap(), b"0123456789", "nothing was changed");
    // What others can only read is no danger to the data.
    set_mode(&path, 0o644);
    fs.open("MANIFEST").unwrap();
}

#[test]
fn a_second_name_is_refused_unless_the_file_is_sealed() {
    let (directory, fs) = open_new();
    let outside = tempfile::tempdir().unwrap();
    let path = directory.path().join("wal.log");
    let mut file = fs.create("wal.log").unwrap();
    file.append(b"0123456789").unwrap();
    fs::hard_link(&path, outside.path().join("copy")).unwrap();
    for used in uses(&fs, "wal.log") {
        let (kind, text) = refusal(used, &path);
        assert_eq!(kind, ErrorKind::InvalidInput);
        assert!(text.contains("2 names") && text.contains("cp "), "{text}");
    }
    assert_eq!(fs::read(&path).unwrap(), b"0123456789");
    file.seal().unwrap();
    assert_eq!(fs.open("wal.log").unwrap().map().unwrap().bytes(), b"0123456789");
    assert!(fs.truncate("wal.log", 0).is_err(), "sealed is sealed");
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only the superuser can give files away");
        return;
    }
    const SERVICE: Option<u32> = Some(12_345);
    const STRANGER: Option<u32> = Some(54_321);
    let (directory, fs) = open_new();
    let path = directory.path().join("MANIFEST");
    fs.create("MANIFEST").unwrap();
    chown(&path, STRANGER, None).unwrap();
    for used in uses(&fs, "MANIFEST") {
        let (kind, text) = refusal(used, &path);
        assert_eq!(kind, ErrorKind::PermissionDenied);
        assert!(text.contains("user 54321") && text.contains("`chown 0 "), "{text}");
    }
    // The superuser may work on the database of a service.
    chown(directory.path(), SERVICE, None).unwrap();
    chown(&path, SERVICE, None).unwrap();
    let of_service = RealFs::open(directory.path(), false).unwrap();
    of_service.open("MANIFEST").unwrap();
    chown(&path, STRANGER, None).unwrap();
    refusal(of_service.open("MANIFEST"), &path);
}

#[test]
fn pipes_devices_sockets_links_and_directories_under_our_names_are_refused_at_once() {
    let (directory, fs) = open_new();
    let path = |name: &str| directory.path().join(name);
    let make_node = |name: &str, kind, device| {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, path(name), kind, mode, device)
    };
    make_node("pipe", rustix::fs::FileType::Fifo, 0).unwrap();
    let _socket = UnixListener::bind(path("socket")).unwrap();
    symlink("/dev/null", path("link")).unwrap();
    symlink("LOCK", path("dangling")).unwrap();
    fs.create_dir("directory").unwrap();
    let mut planted = vec!["pipe", "socket", "link", "dangling", "directory"];
    // The device that is always full: writing to it would be noticed.
    match make_node("device", rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(1, 7)) {
        Ok(()) => planted.push("device"),
        Err(error) => eprintln!("without a device: {error}"),
    }
    for name in planted {
        // A call that waits for the other end of the pipe would never return.
        for used in uses(&fs, name) {
            refusal(used, &path(name));
        }
        assert!(fs.create(name).is_err(), "{name}");
    }
    assert!(!path("LOCK").exists());
}

/// Names that lead elsewhere, or would with a careless file system.
fn hostile_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "",
        ".",
        "..",
        "/",
        "//",
        "/etc/passwd",
        "../x",
        "x/..",
        "x/../y",
        "./x",
        "x/.",
        "x/",
        "/x",
        "x//y",
        "a/b/c",
        "../../../../etc/passwd",
        "x\0y",
        "x/\0",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("x".repeat(256));
    names.push(format!("a/{}", "x".repeat(256)));
    names
}

#[test]
fn no_call_takes_a_name_that_leads_out_of_the_directory() {
    let (_directory, real) = open_new();
    let disk = SimDisk::new(1);
    let backends: [&dyn Fs; 2] = [&real, &*disk.fs()];
    for fs in backends {
        fs.create("good").unwrap();
        for name in hostile_names() {
            let name = name.as_str();
            for (call, result) in [
                ("create", fs.create(name).map(drop)),
                ("open", fs.open(name).map(drop)),
                ("rename from", fs.rename(name, "other")),
                ("rename to", fs.rename("good", name)),
                ("remove", fs.remove(name)),
                ("truncate", fs.truncate(name, 0)),
                ("create_dir", fs.create_dir(name)),
                ("lock", fs.lock(name).map(drop)),
                ("reserve", fs.reserve(name, 1)),
            ] {
                assert!(
                    matches!(result, Err(Error::InvalidArgument(_))),
                    "{} {call} {name:?}: {result:?}",
                    fs.describe()
                );
            }
        }
        assert_eq!(fs.list().unwrap().len(), 1);
    }
}

#[test]
fn maps_are_trusted_on_local_disks_and_options_reach_the_file_system() {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = directory.path().join("new");
    let options = RealOptions {
        create_if_missing: true,
        allow_network_file_system: true,
        ..RealOptions::default()
    };
    let env = Env::real_with(&path, options).unwrap();
    // Where this is not so, tests cannot tell much about the disk anyway.
    assert!(env.fs.trusts_maps());
    assert!(kv_env::FaultFs::new(env.fs).trusts_maps());
    if let Some(mount) = Mount::new(&["-t", "tmpfs", "-o", "mode=0777", "kv-env-test"]) {
        refusal(RealFs::open(mount.path(), true), mount.path());
    }
}

#[test]
fn a_directory_opened_for_reading_only_shows_everything_and_changes_nothing() {
    let (directory, fs) = open_new();
    fs.create("wal.log").unwrap().append(b"0123456789").unwrap();
    fs.create_dir("quarantine").unwrap();
    fs.create("quarantine/a").unwrap();
    // As somebody else's copy in a public place may be.
    set_mode(&directory.path().join("wal.log"), 0o666);
    set_mode(directory.path(), 0o1777);
    let options =
        RealOptions { read_only: true, create_if_missing: true, ..RealOptions::default() };
    let missing = directory.path().join("missing");
    assert_eq!(refusal(RealFs::with_options(&missing, options), &missing).0, ErrorKind::NotFound);
    let fs = RealFs::with_options(directory.path(), options).unwrap();
    let before = fs.list().unwrap();
    assert_eq!(before.len(), 2);
    assert_eq!(fs.open("wal.log").unwrap().read_all().unwrap(), b"0123456789");
    assert!(fs.open("quarantine/a").unwrap().is_empty());
    assert!(fs.open("quarantine").is_err() && fs.open("../x").is_err());
    for refused in [
        fs.create("new").map(drop),
        fs.rename("wal.log", "new"),
        fs.remove("wal.log"),
        fs.truncate("wal.log", 0),
        fs.create_dir("new"),
        fs.lock("LOCK").map(drop),
        fs.reserve("new", 1),
        fs.sync_dir(),
    ] {
        match refused {
            Err(Error::Io { source, .. }) => {
                assert_eq!(source.kind(), ErrorKind::ReadOnlyFilesystem);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fs.list().unwrap(), before);
}
