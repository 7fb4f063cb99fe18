//! A run with pending writes must look like the same commands run one by one.

use proptest::prelude::*;

use super::driver::{Driver, START_MS};
use super::store::Store;
use super::test_server::TestServer;
use crate::command::Session;
use crate::resp::{OwnedArgs, Reply};

/// Commands on few keys, so that they meet.
fn command() -> impl Strategy<Value = Vec<String>> {
    let key = || prop::sample::select(vec!["a", "b", "ab", "c"]);
    let value = || prop::sample::select(vec!["", "1", "-7", "x", "longer value"]);
    let words = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let no_key = prop::sample::select(vec![
        "DBSIZE",
        "KEYS *",
        "KEYS a*",
        "SCAN 0 COUNT 2",
        "SCAN 0 COUNT 5000",
        "RANDOMKEY",
        "FLUSHDB",
        "FLUSHALL",
        "SELECT 0",
        "SELECT 1",
        "MULTI",
        "EXEC",
        "DISCARD",
        "UNWATCH",
        "NOSUCH",
        "GET",
        "PING",
        "RESET",
    ]);
    let one_key = prop::sample::select(vec![
        "GET", "DEL", "EXISTS", "INCR", "DECR", "GETDEL", "TTL", "PTTL", "PERSIST", "STRLEN",
        "TYPE", "WATCH", "GETEX",
    ]);
    let with_value =
        prop::sample::select(vec!["SET", "SETNX", "GETSET", "APPEND", "INCRBY", "INCRBYFLOAT"]);
    let option = prop::sample::select(vec![
        "NX", "XX", "GET", "KEEPTTL", "PX 1", "EX 100", "PXAT 1", "NX GET", "EX 5 XX",
    ]);
    let two_keys = prop::sample::select(vec!["RENAME", "RENAMENX", "COPY", "MGET", "DEL", "LCS"]);
    let time = prop::sample::select(vec!["-1", "0", "100", "5000"]);
    let timed = prop::sample::select(vec!["EXPIRE", "PEXPIRE", "PEXPIREAT"]);
    prop_oneof![
        2 => no_key.prop_map(|line| line.split(' ').map(str::to_owned).collect()),
        4 => (one_key, key()).prop_map(move |(name, key)| words(vec![name, key])),
        4 => (with_value, key(), value())
            .prop_map(move |(name, key, value)| words(vec![name, key, value])),
        2 => (key(), value(), option).prop_map(move |(key, value, option)| {
            words(["SET", key, value].into_iter().chain(option.split(' ')).collect())
        }),
        2 => (two_keys, key(), key())
            .prop_map(move |(name, first, second)| words(vec![name, first, second])),
        1 => (timed, key(), time)
            .prop_map(move |(name, key, time)| words(vec![name, key, time])),
        1 => (prop::sample::select(vec!["MSET", "MSETNX"]), key(), value(), key(), value())
            .prop_map(move |(name, k, v, l, w)| words(vec![name, k, v, l, w])),
        1 => (key(), 0u8..12, value())
            .prop_map(move |(key, at, value)| words(vec!["SETRANGE", key, &at.to_string(), value])),
    ]
}

struct Side {
    store: Store,
    server: TestServer,
    session: Session,
}

impl Side {
    fn new() -> Side {
        Side { store: Store::default(), server: TestServer::new(), session: Session::new(1, true) }
    }

    fn run(&mut self, commands: &[OwnedArgs], position: u64) -> Vec<Reply> {
        let mut driver = Driver {
            store: &mut self.store,
            server: &self.server,
            session: &mut self.session,
            now_ms: START_MS,
            seed: position,
        };
        let result = driver.run(commands);
        assert_eq!(result.conflicts, 0, "nobody else writes");
        result.replies.into_iter().map(|(reply, _)| reply).collect()
    }
}

/// Cursors and random keys depend on how commands fall into runs.
fn is_comparable(command: &OwnedArgs) -> bool {
    !matches!(command.as_args().name(), b"RANDOMKEY" | b"SCAN" | b"EXEC")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_run_is_its_commands_one_by_one(
        runs in proptest::collection::vec(proptest::collection::vec(command(), 1..25), 1..6),
    ) {
        let mut together = Side::new();
        let mut apart = Side::new();
        for run in &runs {
            let commands: Vec<_> = run.iter().map(OwnedArgs::of).collect();
            let replies = together.run(&commands, 1);
            for (command, reply) in commands.iter().zip(replies) {
                let alone = apart.run(std::slice::from_ref(command), 1);
                if is_comparable(command) {
                    prop_assert_eq!(&reply, &alone[0], "{:?}", command.as_args().name());
                }
            }
            prop_assert_eq!(together.store.contents(), apart.store.contents());
            prop_assert_eq!(together.session.database, apart.session.database);
            let queued = (together.session.queued_commands(), apart.session.queued_commands());
            prop_assert_eq!(queued.0, queued.1);
        }
    }
}
