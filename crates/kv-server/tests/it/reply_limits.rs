//! Replies that are too long: they end their connection, and are not built first.

use crate::client::{TestServer, info};
use crate::process::{self, Program};
use crate::wire::{Wire, request};

#[test]
fn replies_over_the_limit_end_their_connection() {
    let server = TestServer::with(|config| config.client_output_limit = 1 << 20);
    let mut client = server.connect();
    let value = vec![b'v'; 60_000];
    client.call([&b"SET"[..], b"a", &value]);
    let mut many = vec!["MGET"];
    many.resize(18, "a");
    assert_eq!(client.call(&many).items().len(), 17);
    many.resize(19, "a");
    client.send(&request(&many));
    assert_eq!(client.replies_until_closed(), []);
    let mut client = server.connect();
    assert_eq!(info(&mut client, "client_output_buffer_limit_disconnections"), "1");
}

/// The most memory that a process has had so far, in bytes.
fn peak_memory(program: &Program) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

/// They are not built first and measured then: a short request can ask for any length.
#[test]
fn replies_over_the_limit_take_no_memory() {
    const MANY: usize = 20_000;
    let directory = tempfile::tempdir().unwrap();
    let mut command = process::command(directory.path());
    command.env("KV_CLIENT_OUTPUT_LIMIT", "1MiB");
    let program = Program::spawn(command);
    let mut client = program.connect();
    for key in 0..20 {
        let name = format!("{key:01000}");
        assert_eq!(client.call([&b"SET"[..], name.as_bytes(), &[b'v'; 60_000]]), Wire::ok());
    }
    client.call([&b"SET"[..], b"a", &[b'v'; 60_000]]);
    let repeated = |words: &[&str], word: &str| {
        request(words.iter().copied().chain(std::iter::repeat_n(word, MANY)))
    };
    let in_transaction = |command: &[u8], times: usize| {
        [b"MULTI\r\n", &command.repeat(times)[..], b"EXEC\r\n"].concat()
    };
    let before = peak_memory(&program);
    for (name, bytes) in [
        ("MGET", repeated(&["MGET"], "a")),
        ("COMMAND INFO", repeated(&["COMMAND", "INFO"], "set")),
        ("EXEC of GET", in_transaction(b"GET a\r\n", MANY)),
        ("EXEC of KEYS", in_transaction(b"KEYS *\r\n", MANY)),
        ("EXEC of COMMAND", in_transaction(b"COMMAND\r\n", 1000)),
    ] {
        let mut client = program.connect();
        client.send(&bytes);
        let queued = client.replies_until_closed();
        assert!(queued.iter().all(|reply| reply.text() == "OK" || reply.text() == "QUEUED"));
        let grown = peak_memory(&program).saturating_sub(before);
        assert!(grown < 64 << 20, "{name} took {} MiB", grown >> 20);
    }
    let ended = info(&mut client, "client_output_buffer_limit_disconnections");
    assert_eq!(ended, "5");
    // This one has an answer: each command once.
    client.send(&repeated(&["COMMAND", "DOCS"], "set"));
    assert_eq!(client.reply().items().len(), 2);
}

#[test]
fn a_value_over_the_limit_is_sent_from_where_it_lies() {
    let server = TestServer::with(|config| config.client_output_limit = 1 << 20);
    let mut client = server.connect();
    let value = vec![b'v'; 5 << 20];
    client.call([&b"SET"[..], b"large", &value]);
    for _ in 0..2 {
        assert_eq!(client.call(["GET", "large"]), Wire::Bulk(value.clone()));
        assert_eq!(client.call(["MGET", "large", "large"]).items().len(), 2);
        client.call(["KV.FLUSH"]);
    }
}
