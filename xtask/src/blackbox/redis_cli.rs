//! The server as redis-cli sees it: commands with the output they must have.

use std::io::Write;

use super::external;
use crate::failure::Outcome;
use crate::screen::Screen;

/// Keys of the mass insertion through `--pipe`.
const PIPED_KEYS: usize = 5000;

/// Each line is sent in order on its own connection; `…` at the end of an
/// expectation stands for anything.
const CONVERSATION: &[(&[&str], &str)] = &[
    (&["PING"], "PONG"),
    (&["ECHO", "hello world"], "hello world"),
    (&["SET", "cli:a", "1"], "OK"),
    (&["GET", "cli:a"], "1"),
    (&["GET", "cli:missing"], ""),
    (&["SET", "cli:a", "2", "NX"], ""),
    (&["SET", "cli:a", "2", "XX", "GET"], "1"),
    (&["INCR", "cli:counter"], "1"),
    (&["INCRBY", "cli:counter", "41"], "42"),
    (&["INCRBYFLOAT", "cli:float", "0.5"], "0.5"),
    (&["APPEND", "cli:a", "345"], "4"),
    (&["GETRANGE", "cli:a", "1", "2"], "34"),
    (&["STRLEN", "cli:a"], "4"),
    (&["MSET", "cli:x", "10", "cli:y", "20"], "OK"),
    (&["MGET", "cli:x", "cli:missing", "cli:y"], "10\n\n20"),
    (&["EXISTS", "cli:x", "cli:y", "cli:z"], "2"),
    (&["TYPE", "cli:x"], "string"),
    (&["EXPIRE", "cli:x", "1000"], "1"),
    (&["TTL", "cli:x"], "1000"),
    (&["PERSIST", "cli:x"], "1"),
    (&["TTL", "cli:x"], "-1"),
    (&["RENAME", "cli:x", "cli:z"], "OK"),
    (&["DEL", "cli:z", "cli:y"], "2"),
    (&["-n", "1", "SET", "cli:other", "1"], "OK"),
    (&["GET", "cli:other"], ""),
    (&["-3", "HELLO", "3"], "server…"),
    (&["SET", "cli:a"], "ERR wrong number of arguments for 'set' command…"),
    (&["INCR", "cli:float"], "ERR value is not an integer or out of range…"),
    (&["NOSUCHCOMMAND"], "ERR unknown command 'NOSUCHCOMMAND'…"),
    (&["EXEC"], "ERR EXEC without MULTI…"),
];

/// Runs the conversation, a mass insertion and a scan.
pub(crate) fn check(port: u16, screen: &mut Screen) -> Outcome {
    let mut wrong = Vec::new();
    for (command, expected) in CONVERSATION {
        let output = run(port, command, b"")?;
        if !matches(&output, expected) {
            wrong.push(format!("{}: expected {expected:?}, got {output:?}", command.join(" ")));
        }
    }
    let count = CONVERSATION.len();
    screen.claim(wrong.is_empty(), &format!("redis-cli: {count} commands answer as Redis does"));
    screen.say(&wrong.join("\n"));

    let mut input = Vec::new();
    for key in 0..PIPED_KEYS {
        // Writing to memory cannot fail.
        let _ = write!(input, "SET pipe:{key:05} value-{key}\r\n");
    }
    let output = run(port, &["--pipe"], &input)?;
    let expected = format!("errors: 0, replies: {PIPED_KEYS}");
    screen.claim(
        output.ends_with(&expected),
        &format!("redis-cli --pipe: {PIPED_KEYS} inline commands in one stream"),
    );
    let output = run(port, &["--scan", "--pattern", "pipe:*"], b"")?;
    screen.claim(
        output.lines().count() == PIPED_KEYS,
        &format!("redis-cli --scan finds all {PIPED_KEYS} keys, none twice"),
    );
    Ok(())
}

/// The store's own commands answer, and what they moved to tables stays
/// readable.
pub(crate) fn check_own_commands(port: u16, screen: &mut Screen) -> Outcome {
    for command in ["KV.FLUSH", "KV.COMPACT"] {
        let output = run(port, &[command], b"")?;
        screen.claim(output == "OK", &format!("{command} answers OK ({output})"));
    }
    for command in ["KV.STATS", "KV.LEVELS", "INFO"] {
        let output = run(port, &[command], b"")?;
        let answered = !output.is_empty() && !output.starts_with("ERR");
        screen.claim(answered, &format!("{command} answers with {} lines", output.lines().count()));
    }
    let output = run(port, &["GET", "pipe:00042"], b"")?;
    screen.claim(output == "value-42", "a key reads back from the compacted tables");
    Ok(())
}

/// Output of `redis-cli COMMAND`, without the newline at its end.
pub(crate) fn run(port: u16, command: &[&str], input: &[u8]) -> Outcome<String> {
    let port = port.to_string();
    let mut arguments = vec!["-p", &port];
    arguments.extend(command);
    let printed = external::run("redis-cli", &arguments, input)?;
    Ok(format!("{}{}", printed.output, printed.errors).trim_end().to_owned())
}

fn matches(output: &str, expected: &str) -> bool {
    match expected.strip_suffix('…') {
        Some(start) => output.starts_with(start),
        None => output == expected,
    }
}
