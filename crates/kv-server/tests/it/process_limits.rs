//! The real program at the limits that the system sets a process.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::{Client, TestServer, info};
use crate::process::{Program, run};
use crate::wire::Wire;

/// The program under a limit of the shell's `ulimit`.
fn limited(directory: &Path, limit: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .current_dir(directory)
        .env_clear()
        .args(["-c", &format!("ulimit {limit}; exec \"$@\"")])
        .args(["sh", env!("CARGO_BIN_EXE_kv-server")])
        .args(["--listen", "127.0.0.1:0", "--data-dir", "data"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// More connections than descriptors: those who are in are served, the others
/// wait in line, a flush is refused with the cause, and all of it is over as
/// soon as somebody leaves.
#[test]
fn without_descriptors_connections_wait_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = Program::spawn(limited(directory.path(), "-n 40"));
    let mut first = program.connect();
    assert_eq!(first.say("SET a 1"), Wire::ok());
    let mut crowd: Vec<Client> = (0..60).map(|_| program.connect()).collect();
    crowd.iter_mut().for_each(|client| client.send(b"INCR crowd\r\n"));
    // The accepted ones are answered, so that the descriptors are surely taken.
    assert!(crowd[0].reply().integer() > 0);
    let mut refused = None;
    for _ in 0..1000 {
        first.say("SET a 2");
        if let Wire::Error(text) = first.say("KV.FLUSH") {
            refused = Some(text);
            break;
        }
    }
    let line = program.error_line("connections wait in line");
    assert!(line.contains("Too many open files") && line.contains("max_clients"), "{line}");
    let refused = refused.expect("no descriptor is left for a table");
    assert!(refused.contains("Too many open files"), "{refused}");
    assert!(info(&mut first, "connected_clients").parse::<usize>().unwrap() < 40);
    assert_eq!(info(&mut first, "poisoned"), "false");
    // Everybody gets in, one crowd after the other.
    let mut answered = 1;
    for mut client in crowd.drain(..).skip(1) {
        assert!(client.reply().integer() > 0);
        answered += 1;
    }
    assert_eq!(first.say("GET crowd"), Wire::bulk(answered.to_string()));
    // Descriptors of closed connections come back in the background.
    while first.say("KV.FLUSH") != Wire::ok() {}
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0));
}

/// A login's limit of descriptors is a fraction of what a server may have.
#[test]
fn the_limit_of_descriptors_is_raised_as_far_as_it_goes() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::spawn(limited(directory.path(), "-S -n 64"));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", program.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    assert!(numbers[0] == numbers[1] && numbers[0] != "64", "{line}");
}

/// Files over the size limit are an error that is told, not the end by SIGXFSZ,
/// from the very first file on.
#[test]
fn a_file_size_limit_at_the_start_is_an_error_that_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (code, output, errors) = run(limited(directory.path(), "-f 8"));
    assert_eq!((code, output.as_str()), (3, ""), "{errors}");
    assert!(errors.contains("File too large"), "{errors}");
}

/// Neither a reader of its output that goes away, nor a client that does, nor one
/// that never finishes its request, keeps the program from stopping in order.
#[test]
fn it_stops_in_order_with_nobody_listening() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = Program::spawn(limited(directory.path(), "-c 0"));
    program.close_outputs();
    let mut client = program.connect();
    let value = vec![b'v'; 1 << 20];
    client.call([&b"SET"[..], b"big", &value]);
    let mut rude = program.connect();
    rude.send(&b"GET big\r\n".repeat(50));
    drop(rude);
    let mut slow = program.connect();
    slow.send(b"*2\r\n$3\r\nGE");
    assert_eq!(client.say("PING"), Wire::Simple("PONG".to_owned()));
    program.signal("-TERM");
    assert_eq!(program.wait().code(), Some(0));
    let program = Program::spawn(limited(directory.path(), "-c 0"));
    assert!(program.start_line.contains("clean shutdown"), "{}", program.start_line);
}

/// A disk in trouble is told on the error output, once.
#[test]
fn trouble_is_told_on_the_error_output() {
    let directory = tempfile::tempdir().unwrap();
    // 4 MiB is the longest file: the log fills up, and that poisons.
    let mut command = limited(directory.path(), "-f 8192");
    command.env("KV_MEMTABLE_FLUSH_SIZE", "1000");
    let mut program = Program::spawn(command);
    let mut client = program.connect();
    let value = vec![b'v'; 500_000];
    while client.call([&b"APPEND"[..], b"a", &value[..1000]]) != Wire::Nil {
        if matches!(client.call([&b"SET"[..], b"b", &value]), Wire::Error(_)) {
            break;
        }
    }
    let line = program.error_line("health");
    assert!(line.starts_with("kv-server: health: poisoned; the engine stopped"), "{line}");
    assert_eq!(info(&mut client, "health"), "poisoned");
}

/// A guess at a password costs at least this, however many guess.
#[test]
fn a_wrong_password_is_answered_late() {
    let server = TestServer::with(|config| config.password = "secret".into());
    let mut client = server.connect();
    let asked = Instant::now();
    assert!(client.say("AUTH wrong").error_text().starts_with("WRONGPASS"));
    assert!(asked.elapsed() >= Duration::from_millis(250));
    // Nor do those get more guesses who are in already and send many at once.
    assert_eq!(client.say("AUTH secret"), Wire::ok());
    let asked = Instant::now();
    client.send(b"AUTH wrong\r\nAUTH wrong\r\nPING\r\n");
    assert_eq!(client.replies(3)[2], Wire::Simple("PONG".to_owned()));
    assert!(asked.elapsed() >= Duration::from_millis(500));
    assert_eq!(info(&mut client, "total_auth_failures"), "3");
}

/// Tables read by calls, and no reserve, by the environment.
#[test]
fn tables_can_be_read_by_calls() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = limited(directory.path(), "-c 0");
    command.env("KV_READ_MODE", "pread").env("KV_DISK_RESERVE_SIZE", "0");
    let program = Program::spawn(command);
    let mut client = program.connect();
    client.say("SET a 1");
    assert_eq!(client.say("KV.FLUSH"), Wire::ok());
    assert_eq!(client.say("GET a"), Wire::bulk("1"));
    assert_eq!(client.say("CONFIG GET read_mode").items()[1], Wire::bulk("pread"));
    assert_eq!(client.say("CONFIG GET disk_reserve_size").items()[1], Wire::bulk("0B"));
    assert!(!directory.path().join("data/RESERVE").exists());
    let pid = program.id();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    assert!(!maps.contains(".db"), "no table is mapped: {maps}");
    drop(program);
    let program = Program::spawn(limited(directory.path(), "-c 0"));
    assert_eq!(program.connect().say("GET a"), Wire::bulk("1"));
    assert!(directory.path().join("data/RESERVE").exists());
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", program.id())).unwrap();
    assert!(maps.contains(".db"), "tables are mapped by default");
}
