//! The real program: what it prints, how it ends, and that acknowledged writes
//! survive SIGKILL.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::client::Client;
use crate::wire::{Wire, request};

/// A running program; killed when dropped.
pub(crate) struct Program {
    child: Child,
    errors: Option<BufReader<ChildStderr>>,
    pub(crate) start_line: String,
    address: SocketAddr,
}

pub(crate) fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kv-server"));
    command
        .current_dir(directory)
        .env_clear()
        .envs(place_of_counters())
        .args(["--listen", "127.0.0.1:0", "--data-dir", "data"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Where a run that counts what is reached wants the counters of this program.
fn place_of_counters() -> Option<(&'static str, OsString)> {
    const VARIABLE: &str = "LLVM_PROFILE_FILE";
    std::env::var_os(VARIABLE).map(|place| (VARIABLE, place))
}

impl Program {
    pub(crate) fn start(directory: &Path) -> Program {
        Program::spawn(command(directory))
    }

    pub(crate) fn spawn(mut command: Command) -> Program {
        let mut child = command.spawn().unwrap();
        let mut start_line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut start_line).unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        if start_line.is_empty() {
            let mut text = String::new();
            errors.read_to_string(&mut text).unwrap();
            panic!("it did not start: {text}");
        }
        let (_, rest) = start_line.split_once("listening on ").expect("the line names the port");
        let address = rest.split(';').next().unwrap().parse().unwrap();
        Program { child, errors: Some(errors), start_line, address }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads no more of what it writes.
    pub(crate) fn close_outputs(&mut self) {
        drop((self.child.stdout.take(), self.errors.take()));
    }

    /// The next line about `topic` on its error output.
    pub(crate) fn error_line(&mut self, topic: &str) -> String {
        let errors = self.errors.as_mut().expect("it was not closed");
        let about = format!("kv-server: {topic}");
        let mut lines = errors.lines().map_while(Result::ok);
        lines.find(|line| line.starts_with(&about)).expect("it is told before the end")
    }

    /// All that it still writes to its error output before it ends.
    pub(crate) fn remaining_errors(&mut self) -> String {
        let mut text = String::new();
        self.errors.as_mut().expect("it was not closed").read_to_string(&mut text).unwrap();
        text
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only where the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the program to its end: exit code, output and errors.
pub(crate) fn run(mut command: Command) -> (i32, String, String) {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut output = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut output).unwrap();
    if output.contains("listening on") {
        child.kill().unwrap();
        panic!("it should have ended: {output}");
    }
    reader.read_to_string(&mut output).unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    (child.wait().unwrap().code().unwrap(), output, errors)
}

#[test]
fn the_start_line_tells_what_is_running() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path());
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        program.start_line,
        format!(
            "kv-server {version} listening on {}; configuration: built-in defaults + --listen + \
             --data-dir; data: data; durability: sync; created a new database\n",
            program.address
        )
    );
    drop(program);

    std::fs::create_dir(directory.path().join("config")).unwrap();
    let file = directory.path().join("config/config.json");
    std::fs::write(file, r#"{"durability": "os", "listen": "127.0.0.1:1"}"#).unwrap();
    let mut with_environment = command(directory.path());
    with_environment.env("KV_WAL_BATCH_SIZE", "7");
    let program = Program::spawn(with_environment);
    let line = &program.start_line;
    assert!(line.contains("configuration: config/config.json + KV_WAL_BATCH_SIZE + "), "{line}");
    assert!(line.contains("durability: os; recovered after a"), "{line}");
}

#[test]
fn a_signal_or_shutdown_stops_in_order() {
    let directory = tempfile::tempdir().unwrap();
    for (round, stop) in ["-TERM", "-INT", "SHUTDOWN"].into_iter().enumerate() {
        let program = Program::start(directory.path());
        if round > 0 {
            let line = &program.start_line;
            assert!(line.contains("recovered after a clean shutdown"), "{line}");
        }
        let mut client = program.connect();
        assert_eq!(client.say("INCR starts"), Wire::Integer(round as i64 + 1));
        match stop {
            "SHUTDOWN" => client.send(b"SHUTDOWN\r\n"),
            signal => program.signal(signal),
        }
        assert_eq!(client.replies_until_closed(), []);
        assert_eq!(program.wait().code(), Some(0));
    }
}

#[test]
fn a_checked_configuration_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let mut check = command(directory.path());
    check.arg("--check").env("KV_PASSWORD", "secret");
    let (code, output, errors) = run(check);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(output.starts_with("configuration is fine: built-in defaults + KV_PASSWORD"));
    assert!(output.contains("\n  wal_batch_size = 1024\n"), "{output}");
    assert!(!output.contains("secret"), "{output}");
    assert!(!directory.path().join("data").exists(), "a check creates nothing");
}

/// What was asked for and cannot be written is a failure; words that nobody takes
/// are none, and the exit code still tells.
#[test]
fn output_that_cannot_be_written_is_no_panic() {
    let directory = tempfile::tempdir().unwrap();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut check = command(directory.path());
    let checked = check.arg("--check").stdout(full()).output().unwrap();
    let errors = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.code(), Some(3), "{errors}");
    assert!(errors.starts_with("kv-server: the configuration cannot be written: "), "{errors}");
    let mut wrong = command(directory.path());
    wrong.args(["--durability", "maybe"]).stderr(full());
    assert_eq!(wrong.status().unwrap().code(), Some(2));
    let mut hash = command(directory.path());
    hash.arg("--hash-password").stdout(full()).stderr(full());
    assert_eq!(hash.status().unwrap().code(), Some(2), "without a password to hash");
}

/// Expects the program to refuse to start, with this code and text.
#[track_caller]
pub(crate) fn check_refused(command: Command, code: i32, text: &str) {
    let (found, output, errors) = run(command);
    assert_eq!((found, output.as_str()), (code, ""), "{errors}");
    assert!(errors.contains(text), "{errors}");
    assert_eq!(errors.trim_end().lines().count(), 1, "one clear message: {errors}");
}

#[test]
fn wrong_configurations_end_with_code_2() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let with = |arguments: &[&str]| {
        let mut command = command(root);
        command.args(arguments);
        command
    };
    check_refused(with(&["--config", "none.json"]), 2, "none.json: cannot be read: No such file");
    std::fs::write(root.join("bad.json"), "{\"wal_batch_sise\": 1}").unwrap();
    check_refused(with(&["--config", "bad.json"]), 2, "did you mean \"wal_batch_size\"?");
    check_refused(with(&["--config", "bad.json", "--check"]), 2, "did you mean");
    check_refused(with(&["--durability", "maybe"]), 2, "flag --durability");
    let mut exposed = command(root);
    exposed.env("KV_LISTEN", "0.0.0.0:1");
    exposed.args(["--listen", "0.0.0.0:0"]);
    let (code, _, errors) = run(exposed);
    assert_eq!(code, 2, "{errors}");
    assert!(!root.join("data").exists(), "nothing was created");
    let (code, _, errors) = run(with(&["--no-such-flag"]));
    assert_eq!(code, 2, "{errors}");
}

#[test]
fn what_the_system_refuses_ends_with_code_3() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut in_use = Command::new(env!("CARGO_BIN_EXE_kv-server"));
    let address = taken.local_addr().unwrap().to_string();
    in_use.current_dir(root).env_clear().args(["--data-dir", "data", "--listen", &address]);
    check_refused(in_use, 3, "stop the other program or use another port");
    assert!(!root.join("data").exists(), "nothing was created");

    std::fs::write(root.join("data"), "a file").unwrap();
    check_refused(command(root), 3, "data");
    assert_eq!(std::fs::read(root.join("data")).unwrap(), b"a file");
    std::fs::remove_file(root.join("data")).unwrap();
}

#[test]
fn an_open_database_is_refused_with_code_5_and_names_its_holder() {
    let directory = tempfile::tempdir().unwrap();
    let holder = Program::start(directory.path());
    let pid = holder.child.id().to_string();
    check_refused(command(directory.path()), 5, &format!("process {pid}"));
    assert_eq!(holder.connect().say("PING"), Wire::Simple("PONG".to_owned()));
}

#[test]
fn a_damaged_database_is_refused_with_code_4_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path());
    let mut client = program.connect();
    client.say("SET a 1");
    client.say("KV.FLUSH");
    client.send(b"SHUTDOWN\r\n");
    client.replies_until_closed();
    assert!(program.wait().success());

    let data = directory.path().join("data");
    let mut names = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
    let table = names
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("sst_"))
        .expect("the flush made a table");
    std::fs::set_permissions(&table, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut bytes = std::fs::read(&table).unwrap();
    // The first byte of the header: another magic is another kind of file.
    bytes[0] ^= 1;
    std::fs::write(&table, &bytes).unwrap();
    check_refused(command(directory.path()), 4, table.file_name().unwrap().to_str().unwrap());
    assert_eq!(std::fs::read(&table).unwrap(), bytes);
}

#[test]
fn a_full_log_refuses_writes_and_serves_reads() {
    let directory = tempfile::tempdir().unwrap();
    // 4 MiB in units of 512 bytes is the longest file; log segments are
    // prepared with 256 KiB and hold up to 1000 large values.
    let mut limited = Command::new("sh");
    limited
        .current_dir(directory.path())
        .env_clear()
        .env("KV_MEMTABLE_FLUSH_SIZE", "1000")
        .args(["-c", "ulimit -f 8192; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_kv-server")])
        .args(["--listen", "127.0.0.1:0", "--data-dir", "data"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let program = Program::spawn(limited);
    let mut client = program.connect();
    let value = vec![b'v'; 100_000];
    let mut stored = 0;
    let refused = loop {
        let key = format!("key{stored}");
        match client.call([&b"SET"[..], key.as_bytes(), &value]) {
            Wire::Error(text) => break text,
            reply => assert_eq!(reply, Wire::ok()),
        }
        stored += 1;
        assert!(stored < 1000, "the log never became too long");
    };
    assert!(refused.starts_with("MISCONF "), "{refused}");
    client.send(b"GET key0\r\nSET a 1\r\nSTRLEN key1\r\nINCR b\r\n");
    let replies = client.replies(4);
    assert_eq!(replies[0], Wire::Bulk(value.clone()));
    assert!(replies[1].error_text().starts_with("MISCONF "), "{replies:?}");
    assert_eq!(replies[2], Wire::Integer(value.len() as i64));
    assert!(replies[3].error_text().starts_with("MISCONF "), "{replies:?}");
    client.send(b"MULTI\r\nSET a 1\r\nEXEC\r\nPING\r\n");
    let replies = client.replies(4);
    assert!(replies[2].error_text().contains("MISCONF"), "{replies:?}");
    assert_eq!(replies[3], Wire::Simple("PONG".to_owned()));
    drop(program);

    // Everything acknowledged is there once the trouble is over.
    let program = Program::start(directory.path());
    let mut client = program.connect();
    let found = client.say("DBSIZE").integer();
    assert!(found == stored || found == stored + 1, "{stored} were stored, {found} found");
}

/// What one writer of the kill test knows about its keys.
#[derive(Default)]
struct Ledger {
    acknowledged: usize,
    sent: usize,
}

const WRITERS: usize = 6;
const KEYS_PER_WRITE: usize = 3;
const PIPELINE: usize = 8;

/// Writes numbered groups of keys, each group with one MSET or one MULTI, and
/// pipelines of them, until the server is gone.
fn write_until_killed(address: SocketAddr, writer: usize, enough: &AtomicBool) -> Ledger {
    let mut client = Client::connect(address);
    let mut ledger = Ledger::default();
    loop {
        let mut bytes = Vec::new();
        for number in ledger.sent..ledger.sent + PIPELINE {
            bytes.extend(group_request(writer, number));
        }
        ledger.sent += PIPELINE;
        if !client.try_send(&bytes) {
            return ledger;
        }
        for number in ledger.acknowledged..ledger.sent {
            for _ in 0..replies_of_group(number) {
                let Some(reply) = client.next_reply() else { return ledger };
                assert!(!matches!(reply, Wire::Error(_)), "{reply:?}");
            }
            ledger.acknowledged += 1;
        }
        if ledger.acknowledged >= 40 * PIPELINE {
            enough.store(true, Ordering::Relaxed);
        }
    }
}

fn group_keys(writer: usize, number: usize) -> [String; KEYS_PER_WRITE] {
    std::array::from_fn(|part| format!("w{writer}:{number}:{part}"))
}

fn group_request(writer: usize, number: usize) -> Vec<u8> {
    let value = format!("value of {number}").repeat(5);
    let keys = group_keys(writer, number);
    if number.is_multiple_of(2) {
        let pairs = keys.iter().flat_map(|key| [key.as_str(), value.as_str()]);
        return request(["MSET"].into_iter().chain(pairs));
    }
    let mut bytes = request(["MULTI"]);
    for key in &keys {
        bytes.extend(request(["SET", key, &value]));
    }
    bytes.extend(request(["EXEC"]));
    bytes
}

fn replies_of_group(number: usize) -> usize {
    if number.is_multiple_of(2) { 1 } else { KEYS_PER_WRITE + 2 }
}

/// Every acknowledged group is whole, every other one whole or absent, and
/// none is missing in front of one that is there.
fn check_ledgers(client: &mut Client, ledgers: &[Ledger]) {
    for (writer, ledger) in ledgers.iter().enumerate() {
        let mut is_past_end = false;
        for number in 0..ledger.sent {
            let keys = group_keys(writer, number);
            let found = client.call(["MGET"].into_iter().chain(keys.iter().map(String::as_str)));
            let present = found.items().iter().filter(|value| **value != Wire::Nil).count();
            assert!(present == 0 || present == KEYS_PER_WRITE, "half of {keys:?} is there");
            assert!(present > 0 || number >= ledger.acknowledged, "{keys:?} is lost");
            assert!(present == 0 || !is_past_end, "{keys:?} came without its predecessors");
            is_past_end |= present == 0;
        }
    }
}

#[test]
fn acknowledged_writes_survive_sigkill_and_none_is_half_there() {
    let directory = tempfile::tempdir().unwrap();
    // Small memory tables, so that flushes and compactions are hit as well.
    let small = |durability: &str| {
        let mut command = command(directory.path());
        command.env("KV_MEMTABLE_FLUSH_SIZE", "400").args(["--durability", durability]);
        command
    };
    for durability in ["sync", "os", "interval"] {
        let mut program = Program::spawn(small(durability));
        program.connect().say("FLUSHALL");
        let enough = AtomicBool::new(false);
        let address = program.address;
        let ledgers: Vec<Ledger> = thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    scope.spawn({
                        let enough = &enough;
                        move || write_until_killed(address, writer, enough)
                    })
                })
                .collect();
            // A writer that ends before the kill has failed: see why.
            let is_one_done = || writers.iter().any(|writer| writer.is_finished());
            while !enough.load(Ordering::Relaxed) && !is_one_done() {
                thread::yield_now();
            }
            program.child.kill().unwrap();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        drop(program);
        let program = Program::spawn(small(durability));
        let line = &program.start_line;
        assert!(line.contains("unclean shutdown"), "{line}");
        check_ledgers(&mut program.connect(), &ledgers);
    }
}
