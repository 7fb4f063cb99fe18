//! What the program gives up before it starts: bits of new files, root, and
//! files and system calls that are none of its business.

use std::fs::Permissions;
use std::io::Result;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use kv_server::{Config, SandboxMode, harden_process};
use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
use rustix::thread::set_thread_uid;

use crate::client::info;
use crate::process::{Program, check_refused, command};
use crate::wire::Wire;

const PROGRAM: &str = env!("CARGO_BIN_EXE_kv-server");

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn new_files_are_for_their_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path());
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    assert!(status.contains("\nUmask:\t0077\n"), "{status}");
}

/// The program without an address, to be started in `directory`.
fn bare(program: impl AsRef<std::ffi::OsStr>, directory: &Path) -> Command {
    let mut bare = Command::new(program);
    bare.current_dir(directory).env_clear().args(["--data-dir", "data"]);
    bare.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    bare
}

/// The same as somebody who is not root: as whoever runs this test, or as nobody
/// if that is root.
fn bare_as_a_user(directory: &Path) -> Command {
    const NOBODY: u32 = 65_534;
    if !is_root() {
        return bare(PROGRAM, directory);
    }
    // The built program may lie where only root can get at it.
    let program = directory.join("kv-server");
    std::fs::copy(PROGRAM, &program).unwrap();
    for path in [directory, &program] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut bare = bare(program, directory);
    bare.uid(NOBODY).gid(NOBODY);
    bare
}

/// As root all of it is tested, with another user for the last part; as another
/// user only that part.
#[test]
fn root_serves_others_only_if_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let everywhere = |mut command: Command| {
        command.env("KV_PASSWORD", "secret").args(["--listen", "0.0.0.0:0"]);
        command
    };
    if is_root() {
        check_refused(
            everywhere(bare(PROGRAM, directory.path())),
            2,
            "root does not serve 0.0.0.0:0",
        );
        assert!(!directory.path().join("data").exists(), "nothing was created");
        let mut insisting = everywhere(bare(PROGRAM, directory.path()));
        insisting.arg("--allow-root");
        let mut program = Program::spawn(insisting);
        program.signal("-TERM");
        assert_eq!(program.remaining_errors(), "");
        let mut program = Program::start(directory.path());
        let line = program.error_line("running as root");
        assert!(line.contains("set allow_root"), "{line}");
        program.signal("-TERM");
        assert_eq!(program.remaining_errors(), "", "one notice is enough");
    }
    let home = tempfile::tempdir().unwrap();
    let mut program = Program::spawn(everywhere(bare_as_a_user(home.path())));
    program.signal("-TERM");
    assert_eq!(program.remaining_errors(), "");
}

/// Asks the kernel, not our code, whether there is a sandbox to be had.
fn kernel_has_landlock() -> bool {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1));
    let has = ruleset.and_then(Ruleset::create).is_ok();
    if !has {
        println!("this kernel has no Landlock: what is tested is that the program says so");
    }
    has
}

fn sandboxed(directory: &Path, mode: &str) -> Command {
    let mut sandboxed = command(directory);
    sandboxed.env("KV_SANDBOX", mode);
    sandboxed
}

#[test]
fn a_sandboxed_server_works() {
    let directory = tempfile::tempdir().unwrap();
    if !kernel_has_landlock() {
        check_refused(sandboxed(directory.path(), "required"), 3, "sandbox is required");
        let mut program = Program::spawn(sandboxed(directory.path(), "best_effort"));
        program.error_line("running without a sandbox");
        return;
    }
    for (round, mode) in ["required", "best_effort"].into_iter().enumerate() {
        let mut command = sandboxed(directory.path(), mode);
        command.env("KV_MEMTABLE_FLUSH_SIZE", "50");
        let mut program = Program::spawn(command);
        assert_eq!(filters_of_all_threads(program.id()), [own_filters() + 1]);
        let mut client = program.connect();
        let found = 400 * round as i64;
        assert_eq!(client.say("DBSIZE"), Wire::Integer(found), "{}", program.start_line);
        for number in 0..400 {
            assert_eq!(client.say(&format!("SET key{round}:{number} value")), Wire::ok());
        }
        assert_eq!(client.say("KV.FLUSH"), Wire::ok());
        assert_eq!(client.say("KV.COMPACT"), Wire::ok());
        assert_eq!(client.say("GET key0:7"), Wire::bulk("value"));
        assert_eq!(client.say("DBSIZE"), Wire::Integer(found + 400));
        assert_ne!(info(&mut client, "used_memory_rss"), "0", "/proc can be read");
        assert_eq!(info(&mut client, "health"), "ok");
        program.signal("-TERM");
        let errors = program.remaining_errors();
        assert!(!errors.contains("sandbox"), "{errors}");
        assert_eq!(program.wait().code(), Some(0));
    }
    check_recovery(directory.path());
}

/// A torn tail is set aside in another directory by a recovery in the sandbox.
fn check_recovery(directory: &Path) {
    let log = directory.join("data/wal.log");
    let program = Program::spawn(sandboxed(directory, "required"));
    let mut client = program.connect();
    assert_eq!(client.call([&b"SET"[..], b"last", &vec![b'v'; 20_000]]), Wire::ok());
    drop(program);
    let mut bytes = std::fs::read(&log).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    // A power cut leaves whole sectors of the last record unwritten.
    bytes[end / 4096 * 4096..].fill(0);
    std::fs::write(&log, &bytes).unwrap();
    let program = Program::spawn(sandboxed(directory, "required"));
    let line = &program.start_line;
    assert!(line.contains("unclean shutdown"), "{line}");
    assert!(directory.join("data/quarantine").is_dir(), "{line}");
    assert_eq!(program.connect().say("DBSIZE"), Wire::Integer(800));
}

#[test]
fn without_a_sandbox_nothing_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path());
    assert_eq!(program.connect().say("SET a 1"), Wire::ok());
    assert_eq!(filters_of_all_threads(program.id()), [own_filters()]);
    play("the_part_of_the_restrained_process", directory.path(), "off");
}

/// Filters of system calls, as the kernel counts them for a thread.
fn filters(status: &Path) -> u32 {
    let status = std::fs::read_to_string(status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"));
    line.expect("Linux tells since 5.9").trim().parse().unwrap()
}

/// Those that this test has been started under.
fn own_filters() -> u32 {
    filters(Path::new("/proc/self/status"))
}

/// The different numbers of filters that the threads of a process are under.
fn filters_of_all_threads(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut all: Vec<u32> =
        threads.map(|thread| filters(&thread.unwrap().path().join("status"))).collect();
    assert!(all.len() > 5, "its threads have been started: {all:?}");
    all.sort_unstable();
    all.dedup();
    all
}

/// Name the directory and the mode of the sandbox for the part of another process.
const PART: &str = "KV_SERVER_TEST_SANDBOX_IN";
const MODE: &str = "KV_SERVER_TEST_SANDBOX_MODE";

/// A sandbox cannot be left, so it is entered by this test program once more, in
/// another process, which plays `part`.
#[track_caller]
fn play(part: &str, directory: &Path, mode: &str) {
    let played = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("hardening::{part}"), "--nocapture"])
        .env(PART, directory)
        .env(MODE, mode)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&played.stdout);
    let errors = String::from_utf8_lossy(&played.stderr);
    assert!(played.status.success() && output.contains("the part is played"), "{output}{errors}");
}

#[test]
fn a_sandboxed_process_is_refused_what_no_store_needs() {
    let directory = tempfile::tempdir().unwrap();
    play("the_part_of_the_restrained_process", directory.path(), "best_effort");
}

#[test]
fn the_part_of_the_restrained_process() {
    let (Ok(root), Ok(mode)) = (std::env::var(PART), std::env::var(MODE)) else { return };
    let sandbox = if mode == "off" { SandboxMode::Off } else { SandboxMode::BestEffort };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let own_user = rustix::process::geteuid();
    let try_all = move || -> [(&str, Result<()>); 4] {
        let packets = UdpSocket::bind("127.0.0.1:0").unwrap();
        [
            ("run a program", Command::new("/bin/true").status().map(drop)),
            ("call a machine", TcpStream::connect(address).map(drop)),
            ("send a machine a packet", packets.send_to(b"packet", address).map(drop)),
            ("become a user", set_thread_uid(own_user).map_err(Into::into)),
        ]
    };
    let (go, started) = mpsc::channel::<()>();
    let older = std::thread::spawn(move || {
        started.recv().unwrap();
        try_all()
    });
    let data_dir = Path::new(&root).join("data");
    harden_process(&Config { data_dir, sandbox, ..Config::default() }).unwrap();
    go.send(()).unwrap();
    let younger = std::thread::spawn(try_all);
    let outcomes = [try_all(), older.join().unwrap(), younger.join().unwrap()];
    for (what, outcome) in outcomes.into_iter().flatten() {
        // By its number: Landlock refuses programs too, but with another one.
        let refusal = outcome.err().map(|error| error.raw_os_error().unwrap());
        let expected = (sandbox != SandboxMode::Off).then_some(libc::EPERM);
        assert_eq!(refusal, expected, "{what}");
    }
    println!("the part is played");
}

#[test]
fn a_sandboxed_process_reaches_no_file_but_its_own() {
    if !kernel_has_landlock() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("outside"), "others").unwrap();
    play("the_part_of_the_sandboxed_process", directory.path(), "required");
    assert_eq!(std::fs::read(directory.path().join("outside")).unwrap(), b"others");
}

#[test]
fn the_part_of_the_sandboxed_process() {
    let Ok(root) = std::env::var(PART) else { return };
    let root = PathBuf::from(root);
    let (data_dir, outside) = (root.join("data"), root.join("outside"));
    let reading = std::fs::File::open(&outside).unwrap();
    let sandbox = SandboxMode::Required;
    harden_process(&Config { data_dir: data_dir.clone(), sandbox, ..Config::default() }).unwrap();
    let denied = |what: &str, outcome: Result<()>| {
        let kind = outcome.expect_err(what).kind();
        assert_eq!(kind, std::io::ErrorKind::PermissionDenied, "{what}");
    };
    let try_all = || {
        denied("read", std::fs::read(&outside).map(drop));
        denied("list", std::fs::read_dir(&root).map(drop));
        denied("write", std::fs::write(&outside, "x"));
        denied("create", std::fs::write(root.join("new"), "x"));
        denied("remove", std::fs::remove_file(&outside));
        denied("make a directory", std::fs::create_dir(root.join("directory")));
        denied("link", std::os::unix::fs::symlink("x", data_dir.join("link")));
        denied("take in", std::fs::rename(&outside, data_dir.join("inside")));
        denied("execute", Command::new("/bin/true").status().map(drop));
        denied("see devices", std::fs::File::open("/dev/zero").map(drop));
    };
    try_all();
    std::thread::scope(|scope| scope.spawn(try_all).join().unwrap());
    std::fs::create_dir(data_dir.join("sub")).unwrap();
    std::fs::write(data_dir.join("file"), "x").unwrap();
    std::fs::set_permissions(data_dir.join("file"), Permissions::from_mode(0o400)).unwrap();
    std::fs::rename(data_dir.join("file"), data_dir.join("moved")).unwrap();
    assert_eq!(std::fs::read(data_dir.join("moved")).unwrap(), b"x");
    std::fs::remove_file(data_dir.join("moved")).unwrap();
    std::fs::write(data_dir.join("sub/file"), "x").unwrap();
    for told_by_info in ["/proc/self/status", "/proc/self/stat"] {
        assert!(std::fs::read(told_by_info).is_ok(), "{told_by_info}");
    }
    assert_eq!(std::io::read_to_string(reading).unwrap(), "others", "opened before");
    println!("the part is played");
}
