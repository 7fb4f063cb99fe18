//! Golden scripts: commands and the replies that Redis 7.0 gives to them.
//!
//! ```text
//! # a comment
//! > SET key "a value"
//! +OK
//! ours> KV.STATS          a command that Redis does not have or answers otherwise
//! @sleep 50               milliseconds pass
//! @client 2               the next commands come from another connection
//! ```
//!
//! Each script runs twice: with one command in a run, and with all commands of
//! a connection that follow each other in one run. The replies are the same.
//! `UPDATE_SCRIPTS=1 cargo test -p kv-server` writes the replies anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::driver::{Driver, START_MS};
use super::protocol_text::render;
use super::store::Store;
use super::test_server::TestServer;
use crate::command::Session;
use crate::resp::{OwnedArgs, RequestDecoder, RequestLimits};

/// How many commands make a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runs {
    Single,
    Pipelined,
}

struct Player {
    store: Store,
    server: TestServer,
    sessions: BTreeMap<u64, Session>,
    client: u64,
    now_ms: u64,
    pending: Vec<OwnedArgs>,
    /// The script as it should be: lines with the place of their replies.
    replies: Vec<String>,
}

impl Player {
    fn new() -> Player {
        Player {
            store: Store::default(),
            server: TestServer::new(),
            sessions: BTreeMap::new(),
            client: 1,
            now_ms: START_MS,
            pending: Vec::new(),
            replies: Vec::new(),
        }
    }

    /// Executes what is pending as one run.
    fn flush(&mut self) {
        let commands = std::mem::take(&mut self.pending);
        let client = self.client;
        let session = self.sessions.entry(client).or_insert_with(|| Session::new(client, true));
        let mut driver = Driver {
            store: &mut self.store,
            server: &self.server,
            session,
            now_ms: self.now_ms,
            seed: 1,
        };
        let result = driver.run(&commands);
        for (reply, protocol) in &result.replies {
            let mut bytes = Vec::new();
            reply.encode(*protocol, &mut bytes);
            self.replies.push(render(&bytes));
        }
        if result.is_closed {
            self.sessions.remove(&client);
        }
        // A command that got no reply, as SHUTDOWN does, closed the connection.
        let silent = commands.len() - result.replies.len();
        self.replies.extend(std::iter::repeat_n("closed\n".to_owned(), silent));
    }

    fn direct(&mut self, directive: &str) {
        self.flush();
        let (name, argument) = directive.split_once(' ').unwrap();
        let number: u64 = argument.trim().parse().unwrap();
        match name {
            "sleep" => self.now_ms += number,
            "client" => self.client = number,
            other => panic!("unknown directive {other}"),
        }
    }
}

/// The script with the replies that its commands get.
fn play(script: &str, runs: Runs) -> String {
    let mut player = Player::new();
    for line in script.lines() {
        if let Some(directive) = line.strip_prefix('@') {
            player.direct(directive);
        } else if let Some(command) = command_of(line) {
            player.pending.push(split(command));
            if runs == Runs::Single {
                player.flush();
            }
        }
    }
    player.flush();
    let mut replies = player.replies.into_iter();
    let mut text = String::new();
    for line in script.lines().filter(|line| !is_reply(line)) {
        writeln!(text, "{line}").unwrap();
        if command_of(line).is_some() {
            text.push_str(&replies.next().unwrap());
        }
    }
    assert_eq!(replies.next(), None, "one reply to each command");
    text
}

fn command_of(line: &str) -> Option<&str> {
    line.strip_prefix("> ").or_else(|| line.strip_prefix("ours> "))
}

fn is_reply(line: &str) -> bool {
    !line.is_empty() && !line.starts_with(['#', '@']) && command_of(line).is_none()
}

/// The arguments of a line, quoted as in a telnet session.
pub(super) fn split(line: &str) -> OwnedArgs {
    let mut bytes = format!("{line}\r\n").into_bytes();
    let mut decoder = RequestDecoder::new(RequestLimits {
        arguments: 10_000,
        argument_bytes: 1 << 20,
        request_bytes: 1 << 20,
        requests_per_run: 1,
        unauthenticated: false,
    });
    decoder.decode(&mut bytes).unwrap();
    decoder.requests(&bytes).get(0).to_owned()
}

fn scripts() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command");
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut scripts: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|ext| ext == "script")).collect();
    scripts.sort();
    scripts
}

#[test]
fn commands_reply_as_the_scripts_say() {
    let scripts = scripts();
    assert!(scripts.len() >= 8, "the scripts were found");
    let mut differences = String::new();
    for path in scripts {
        let expected = std::fs::read_to_string(&path).unwrap();
        let actual = play(&expected, Runs::Single);
        if std::env::var_os("UPDATE_SCRIPTS").is_some() {
            std::fs::write(&path, &actual).unwrap();
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        report_difference(&name, &expected, &actual, &mut differences);
        let pipelined = play(&expected, Runs::Pipelined);
        report_difference(&format!("{name}, pipelined"), &expected, &pipelined, &mut differences);
    }
    assert!(differences.is_empty(), "{differences}");
}

/// The first lines that differ, with the command they belong to.
fn report_difference(name: &str, expected: &str, actual: &str, report: &mut String) {
    let mut command = "";
    for (number, (expected, actual)) in expected.lines().zip(actual.lines()).enumerate() {
        command = command_of(actual).unwrap_or(command);
        if expected != actual {
            let line = number + 1;
            writeln!(report, "{name}:{line}: {command}\n  wants {expected}\n  got   {actual}")
                .unwrap();
            return;
        }
    }
    if expected.lines().count() != actual.lines().count() {
        writeln!(report, "{name}: {command}: number of lines differs").unwrap();
    }
}
