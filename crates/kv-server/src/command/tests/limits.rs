//! Sizes at and beyond their limits, and what must not be done with them.

use super::driver::{Driver, NO_LIMITS, START_MS};
use super::scripts::split;
use super::store::Store;
use super::test_server::{PASSWORD, TestServer};
use crate::command::reply_room::nested_bytes;
use crate::command::session::MAX_QUEUED_BYTES;
use crate::command::value::{MAX_STRING_BYTES, MAX_USER_KEY_BYTES};
use crate::command::{
    Access, DataContext, Outcome, ReplyLimits, Requirement, RunContext, Session, execute,
};
use crate::resp::{OwnedArgs, Reply};

fn context(access: Access, may_take_long: bool) -> RunContext {
    RunContext { now_ms: START_MS, seed: 1, access, may_take_long, reply_limits: NO_LIMITS }
}

fn reply(store: &mut Store, arguments: &[&[u8]]) -> Reply {
    let server = TestServer::new();
    let mut session = Session::new(1, true);
    let mut driver =
        Driver { store, server: &server, session: &mut session, now_ms: START_MS, seed: 1 };
    let mut result = driver.run(&[OwnedArgs::of(arguments)]);
    result.replies.pop().unwrap().0
}

#[test]
fn the_longest_key_is_stored_and_a_longer_one_is_refused() {
    let mut store = Store::default();
    let longest = vec![b'k'; MAX_USER_KEY_BYTES];
    assert_eq!(reply(&mut store, &[b"SET", &longest, b"v"]), Reply::OK);
    assert_eq!(reply(&mut store, &[b"GET", &longest]), Reply::bulk("v"));

    let longer = vec![b'k'; MAX_USER_KEY_BYTES + 1];
    let refusal = Reply::error("ERR key of 65534 bytes is over the limit of 65533 bytes");
    for arguments in [
        &[&b"SET"[..], &longer, b"v"][..],
        &[b"MSET", b"a", b"1", &longer, b"v"],
        &[b"MSETNX", b"a", b"1", &longer, b"v"],
        &[b"INCR", &longer],
        &[b"APPEND", &longer, b"v"],
        &[b"RENAME", &longest, &longer],
        &[b"COPY", &longest, &longer],
        &[b"SETRANGE", &longer, b"1", b"v"],
    ] {
        assert_eq!(reply(&mut store, arguments), refusal);
    }
    assert_eq!(reply(&mut store, &[b"DBSIZE"]), Reply::Integer(1));
    assert_eq!(reply(&mut store, &[b"GET", &longer]), Reply::Nil);
    assert_eq!(reply(&mut store, &[b"DEL", &longer]), Reply::Integer(0));
    assert_eq!(reply(&mut store, &[b"TTL", &longer]), Reply::Integer(-2));
}

#[test]
fn a_string_over_its_limit_is_refused_before_it_is_built() {
    let mut store = Store::default();
    reply(&mut store, &[b"SET", b"k", b"v"]);
    let offset = (MAX_STRING_BYTES - 1).to_string();
    let refusal = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    let refused = reply(&mut store, &[b"SETRANGE", b"k", offset.as_bytes(), b"xy"]);
    assert_eq!(refused, Reply::error(refusal));
    assert_eq!(reply(&mut store, &[b"GET", b"k"]), Reply::bulk("v"));
}

#[test]
fn a_command_waits_for_the_commit_of_a_large_run() {
    let store = Store::default();
    let server = TestServer::new();
    let mut session = Session::new(1, true);
    let context = context(Access::Update, false);
    let mut data = DataContext::new(&store, context);
    let large = vec![b'x'; 600_000];
    let set = OwnedArgs::of([b"SET", &b"k"[..], &large]);
    let mut execute = |args: &OwnedArgs| execute(args.as_args(), &mut session, &mut data, &server);
    assert_eq!(execute(&set), Outcome::Reply(Reply::OK));
    assert_eq!(execute(&set), Outcome::Reply(Reply::OK));
    assert_eq!(execute(&set), Outcome::Again(Requirement::Commit));
    assert_eq!(execute(&OwnedArgs::of(["GET", "k"])), Outcome::Again(Requirement::Commit));
}

#[test]
fn what_may_take_long_asks_for_a_run_of_its_own() {
    let store = Store::default();
    let server = TestServer::new();
    let mut session = Session::new(1, true);
    for (may_take_long, access) in [(false, Access::ReadOnly), (true, Access::Update)] {
        let context = context(access, may_take_long);
        let mut data = DataContext::new(&store, context);
        let mut asks_for_long = |line: &str| {
            let args = split(line);
            let outcome = execute(args.as_args(), &mut session, &mut data, &server);
            outcome == Outcome::Again(Requirement::LongRun)
        };
        assert!(!asks_for_long("SCAN 0 COUNT 1000"));
        for line in ["SCAN 0 COUNT 1001", "KEYS *", "DBSIZE", "LCS a b"] {
            assert_eq!(asks_for_long(line), !may_take_long, "{line}");
        }
        assert!(!asks_for_long("MULTI"));
        assert!(!asks_for_long("KEYS *"));
        assert!(!asks_for_long("SCAN 0 COUNT 5000"));
        assert_eq!(asks_for_long("EXEC"), !may_take_long);
        asks_for_long("DISCARD");
    }
}

#[test]
fn a_transaction_has_a_largest_size() {
    let mut session = Session::new(1, true);
    let spec = crate::command::table::find(b"set").unwrap();
    let mut transaction = crate::command::session::Transaction::default();
    let value = vec![b'x'; 64 << 20];
    let set = OwnedArgs::of([b"SET", &b"k"[..], &value]);
    // 16 times 64 MiB and a few bytes: the last one is too much.
    let pushed = (0..16).take_while(|_| transaction.push(spec, set.as_args())).count();
    assert_eq!(pushed, 15);
    assert!(MAX_QUEUED_BYTES >= 15 * value.len());
    session.transaction = Some(transaction);
    assert!(session.held_bytes() >= 15 * value.len());

    let store = Store::default();
    let server = TestServer::new();
    let context = context(Access::Update, false);
    let mut data = DataContext::new(&store, context);
    let refused = execute(set.as_args(), &mut session, &mut data, &server);
    let text = "ERR the transaction is over its limit of 1 GiB";
    assert_eq!(refused, Outcome::Reply(Reply::error(text)));
    let exec = execute(OwnedArgs::of(["EXEC"]).as_args(), &mut session, &mut data, &server);
    let text = "EXECABORT Transaction discarded because of previous errors.";
    assert_eq!(exec, Outcome::Reply(Reply::error(text)));
    assert!(!data.has_pending_writes());
}

#[test]
fn what_a_session_holds_is_counted() {
    let mut store = Store::default();
    let server = TestServer::new();
    let mut session = Session::new(1, true);
    let mut held_after = |line: &str| {
        let mut driver = Driver {
            store: &mut store,
            server: &server,
            session: &mut session,
            now_ms: START_MS,
            seed: 1,
        };
        driver.run(&[split(line)]);
        driver.session.held_bytes()
    };
    assert_eq!(held_after("PING"), 0);
    let watching = held_after("WATCH abc");
    assert!(watching > 0);
    assert_eq!(held_after("WATCH abc"), watching);
    assert!(held_after("WATCH other") > watching);
    assert_eq!(held_after("UNWATCH"), 0);
    held_after("MULTI");
    assert!(held_after("SET a 1") > 0);
    assert_eq!(held_after("EXEC"), 0);
}

#[test]
fn without_the_password_only_a_few_commands_are_open() {
    let mut store = Store::default();
    let mut server = TestServer::new();
    server.password_required = true;
    let mut session = Session::new(1, false);
    let mut ask = |arguments: &[&str]| {
        let mut driver = Driver {
            store: &mut store,
            server: &server,
            session: &mut session,
            now_ms: START_MS,
            seed: 1,
        };
        let mut result = driver.run(&[OwnedArgs::of(arguments)]);
        result.replies.pop().unwrap().0
    };
    let closed = Reply::error("NOAUTH Authentication required.");
    assert_eq!(ask(&["GET", "k"]), closed);
    assert_eq!(ask(&["PING"]), closed);
    assert_eq!(ask(&["MULTI"]), closed);
    assert_eq!(ask(&["COMMAND"]), closed);
    assert!(ask(&["HELLO", "3"]).is_error());
    let wrong = Reply::error("WRONGPASS invalid username-password pair or user is disabled.");
    assert_eq!(ask(&["AUTH", "guess"]), wrong);
    assert_eq!(ask(&["AUTH", "somebody", PASSWORD]), wrong);
    assert_eq!(ask(&["HELLO", "3", "AUTH", "default", "guess"]), wrong);
    assert_eq!(ask(&["AUTH", PASSWORD]), Reply::OK);
    assert_eq!(ask(&["GET", "k"]), Reply::Nil);
    assert_eq!(ask(&["RESET"]), Reply::Simple("RESET".into()));
    assert_eq!(ask(&["GET", "k"]), closed);
    let hello = ask(&["HELLO", "3", "AUTH", "default", PASSWORD, "SETNAME", "me"]);
    assert!(matches!(hello, Reply::Map(_)));
    assert_eq!(ask(&["CLIENT", "GETNAME"]), Reply::bulk("me"));
}

/// Executes commands with replies of at most a few thousand bytes; whether one was
/// over the limit, with the last reply and what the batch writes.
fn with_short_replies(store: &Store, commands: &[OwnedArgs]) -> (bool, Reply, u32) {
    let server = TestServer::new();
    let mut session = Session::new(1, true);
    let limits = ReplyLimits { bytes: 5000, are_tables_mapped: true };
    let context = RunContext { reply_limits: limits, ..context(Access::Update, true) };
    let mut data = DataContext::new(store, context);
    let mut last = Reply::Nil;
    for command in commands {
        match execute(command.as_args(), &mut session, &mut data, &server) {
            Outcome::Reply(reply) => last = reply,
            other => panic!("{other:?}"),
        }
    }
    (data.reply_room().is_over(), last, data.into_batch().count())
}

/// A short request can ask for any length.
#[test]
fn no_more_of_a_reply_is_collected_than_may_be_sent() {
    let mut store = Store::default();
    reply(&mut store, &[b"SET", b"k", &[b'v'; 1000]]);
    let words = |line: &[&str], word: &'static str, count: usize| {
        OwnedArgs::of(line.iter().copied().chain(std::iter::repeat_n(word, count)))
    };
    let transaction = |inner: OwnedArgs, count: usize| {
        let queued = std::iter::repeat_n(inner, count);
        let first = [split("MULTI"), split("SET a 1")];
        first.into_iter().chain(queued).chain([split("SET b 2"), split("EXEC")]).collect()
    };
    let cases: [(&str, Vec<OwnedArgs>, u32); 6] = [
        ("MGET", vec![words(&["MGET"], "k", 1000)], 0),
        ("COMMAND INFO", vec![words(&["COMMAND", "INFO"], "set", 1000)], 0),
        ("EXEC of GET", transaction(split("GET k"), 1000), 2),
        ("EXEC of MGET", transaction(words(&["MGET"], "k", 3), 1000), 2),
        ("EXEC of KEYS", transaction(split("KEYS *"), 5000), 2),
        ("EXEC of COMMAND", transaction(split("COMMAND"), 10), 2),
    ];
    for (name, commands, writes) in cases {
        let (is_over, last, written) = with_short_replies(&store, &commands);
        assert!(is_over, "{name}");
        let table_bytes = nested_bytes(&reply(&mut store, &[b"COMMAND"]));
        let held = nested_bytes(&last);
        assert!(held < 5000 + 1000 * size_of::<Reply>() + table_bytes, "{name} held {held}");
        assert_eq!(written, writes, "{name}: a long reply is no reason not to write");
    }
    // One value may have any length, and a name has its documentation once.
    let (is_over, last, _) = with_short_replies(&store, &[words(&["MGET"], "k", 5)]);
    assert!(!is_over && matches!(last, Reply::Array(values) if values.len() == 5));
    reply(&mut store, &[b"SET", b"k", &[b'v'; 60_000]]);
    let (is_over, last, _) = with_short_replies(&store, &[words(&["MGET"], "k", 1)]);
    assert!(!is_over && nested_bytes(&last) > 60_000);
    let (_, last, _) = with_short_replies(&store, &[words(&["COMMAND", "DOCS"], "SET", 1000)]);
    assert!(matches!(last, Reply::Map(docs) if docs.len() == 1));
}

/// Where tables are not mapped a value holds the block that it was read in.
#[test]
fn values_that_are_held_in_memory_count_whatever_their_size() {
    let mut store = Store::default();
    reply(&mut store, &[b"SET", b"k", &[b'v'; 100_000]]);
    for (are_tables_mapped, is_over) in [(true, false), (false, true)] {
        let limits = ReplyLimits { bytes: 150_000, are_tables_mapped };
        let context = RunContext { reply_limits: limits, ..context(Access::ReadOnly, false) };
        let mut data = DataContext::new(&store, context);
        let mut session = Session::new(1, true);
        let mget = split("MGET k k k");
        execute(mget.as_args(), &mut session, &mut data, &TestServer::new());
        assert_eq!(data.reply_room().is_over(), is_over);
    }
}
