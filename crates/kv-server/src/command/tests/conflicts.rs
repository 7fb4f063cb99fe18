//! What other connections write between a run's view and its commit.

use proptest::prelude::*;

use super::driver::{Driver, RunResult, START_MS};
use super::scripts::split;
use super::store::Store;
use super::test_server::TestServer;
use crate::command::Session;
use crate::resp::{OwnedArgs, Reply};

fn commands(lines: &[&str]) -> Vec<OwnedArgs> {
    lines.iter().map(|line| split(line)).collect()
}

fn run(store: &mut Store, session: &mut Session, lines: &[&str]) -> RunResult {
    run_with(store, session, lines, |_| {})
}

fn run_with(
    store: &mut Store,
    session: &mut Session,
    lines: &[&str],
    disturb: impl FnMut(&mut Store),
) -> RunResult {
    let server = TestServer::new();
    let mut driver = Driver { store, server: &server, session, now_ms: START_MS, seed: 1 };
    driver.run_disturbed(&commands(lines), disturb)
}

/// Runs a command of another connection, once.
fn once(line: &'static str) -> impl FnMut(&mut Store) {
    let mut is_done = false;
    move |store| {
        if !std::mem::replace(&mut is_done, true) {
            run(store, &mut Session::new(99, true), &[line]);
        }
    }
}

fn replies(result: &RunResult) -> Vec<Reply> {
    result.replies.iter().map(|(reply, _)| reply.clone()).collect()
}

#[track_caller]
fn check(setup: &[&str], lines: &[&str], other: &'static str, conflicts: usize, last: Reply) {
    let mut store = Store::default();
    let mut session = Session::new(1, true);
    run(&mut store, &mut session, setup);
    let result = run_with(&mut store, &mut session, lines, once(other));
    assert_eq!(result.conflicts, conflicts);
    assert_eq!(replies(&result).last(), Some(&last));
}

#[test]
fn a_read_modify_write_is_repeated_if_its_key_changed() {
    check(&["SET n 1"], &["INCR n"], "INCRBY n 10", 1, Reply::Integer(12));
    check(&[], &["SETNX n 1"], "SET n 5", 1, Reply::Integer(0));
    check(&[], &["MSETNX a 1 b 2"], "SET b 5", 1, Reply::Integer(0));
    check(&["SET a x"], &["APPEND a y"], "SET a longer", 1, Reply::Integer(7));
    check(&["SET a x"], &["RENAME a b"], "DEL a", 1, Reply::error("ERR no such key"));
    check(&["SET a x"], &["RENAMENX a b"], "SET b y", 1, Reply::Integer(0));
    check(&["SET a x"], &["DEL a"], "DEL a", 1, Reply::Integer(0));
    check(&["SET a x"], &["EXPIRE a 100"], "DEL a", 1, Reply::Integer(0));
    check(&["SET a x"], &["SET a y GET"], "SET a z", 1, Reply::bulk("z"));
    check(&["SET a x"], &["GETDEL a"], "SET a z", 1, Reply::bulk("z"));
}

#[test]
fn other_keys_do_not_matter() {
    check(&["SET n 1"], &["INCR n"], "SET other 1", 0, Reply::Integer(2));
}

#[test]
fn blind_writes_and_reads_are_never_repeated() {
    check(&[], &["SET a 1"], "SET a 2", 0, Reply::OK);
    check(&[], &["MSET a 1 b 2"], "SET a 2", 0, Reply::OK);
    check(&[], &["SETEX a 10 v"], "SET a 2", 0, Reply::OK);
    check(&["SET a 1"], &["SET b 1", "GET a"], "SET a 2", 0, Reply::bulk("1"));
    check(&["SET a 1"], &["SET b 1", "SETNX a 3"], "SET a 2", 0, Reply::Integer(0));
    check(&[], &["SET a 1", "INCR a"], "SET a 5", 0, Reply::Integer(2));
}

#[test]
fn a_conflict_repeats_the_whole_run_and_takes_the_session_back() {
    let mut store = Store::default();
    let mut session = Session::new(1, true);
    let lines = ["INCR n", "SELECT 1", "CLIENT SETNAME x", "SET a 1", "MULTI", "INCR n"];
    let result = run_with(&mut store, &mut session, &lines, once("INCR n"));
    assert_eq!(result.conflicts, 1);
    assert_eq!(replies(&result)[0], Reply::Integer(2));
    assert_eq!((session.database, &*session.name), (1, "x"));
    assert_eq!(session.queued_commands(), Some(1));
}

#[test]
fn a_transaction_depends_on_all_that_it_read() {
    let lines = ["MULTI", "GET a", "SET b 1", "EXEC"];
    let last = Reply::Array(vec![Reply::bulk("2"), Reply::OK]);
    check(&["SET a 1"], &lines, "SET a 2", 1, last);
}

#[test]
fn a_transaction_that_only_reads_is_not_repeated() {
    let last = Reply::Array(vec![Reply::bulk("1")]);
    check(&["SET a 1"], &["MULTI", "GET a", "EXEC"], "SET a 2", 0, last);
}

#[test]
fn a_watched_key_that_changes_before_the_commit_ends_the_transaction() {
    let lines = ["MULTI", "SET b 1", "EXEC"];
    check(&["SET a 1", "WATCH a"], &lines, "SET a 2", 1, Reply::NilArray);
    check(&["SET a 1", "WATCH a"], &lines, "SET c 2", 0, Reply::Array(vec![Reply::OK]));
}

#[test]
fn an_expired_key_that_is_removed_is_no_change() {
    let mut store = Store::default();
    let mut session = Session::new(1, true);
    // Expired long before START_MS.
    run(&mut store, &mut session, &["SET a 1 PXAT 1000", "WATCH a"]);
    let view = store.clone();
    let step = crate::command::sweep_step(&view, START_MS, None, 100).unwrap();
    assert_eq!(step.batch.count(), 1);
    store.commit(&step.batch).unwrap();
    let result = run(&mut store, &mut session, &["MULTI", "SET b 1", "EXEC"]);
    assert_eq!(replies(&result)[2], Reply::Array(vec![Reply::OK]));
}

/// A connection in the middle of a run that has not committed yet.
#[derive(Debug, Clone)]
struct Schedule {
    /// Which of the connections commits next, again and again.
    order: Vec<usize>,
}

fn schedule() -> impl Strategy<Value = Schedule> {
    proptest::collection::vec(0..3usize, 1..60).prop_map(|order| Schedule { order })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However runs of several connections interleave, no increment is lost
    /// and no money appears or vanishes.
    #[test]
    fn no_update_is_lost(schedule in schedule()) {
        let mut store = Store::default();
        let mut sessions = [1, 2, 3].map(|id| Session::new(id, true));
        run(&mut store, &mut sessions[0], &["MSET from 1000 to 0 n 0"]);
        let mut increments = 0;
        for (position, client) in schedule.order.iter().enumerate() {
            // Up to two others come between the view and the commit.
            let disturbances = position % 3;
            let mut left = disturbances;
            let result = run_with(
                &mut store,
                &mut sessions[*client],
                &["INCR n", "MULTI", "DECR from", "INCR to", "EXEC"],
                |store| {
                    if left > 0 {
                        left -= 1;
                        let lines = ["INCR n", "MULTI", "DECR from", "INCR to", "EXEC"];
                        run(store, &mut Session::new(99, true), &lines);
                    }
                },
            );
            prop_assert_eq!(result.conflicts, disturbances);
            increments += 1 + disturbances as i64;
        }
        let result = run(&mut store, &mut sessions[0], &["MGET n from to"]);
        let expected = [increments, 1000 - increments, increments];
        let expected = expected.iter().map(|n| Reply::bulk(n.to_string())).collect();
        prop_assert_eq!(&replies(&result)[0], &Reply::Array(expected));
    }
}

/// Redis answers nil if a watched key has expired. A compaction may have left it
/// out by then, which is no write.
#[test]
fn a_watched_key_that_expired_has_changed_even_if_nothing_removed_it() {
    let executed = |setup: &[&str], later_ms: u64, is_left_out: bool| {
        let mut store = Store::default();
        let mut session = Session::new(1, true);
        run(&mut store, &mut session, setup);
        if is_left_out {
            store.leave_out(b"\0\x01k");
        }
        let server = TestServer::new();
        let now_ms = START_MS + later_ms;
        let session = &mut session;
        let mut driver = Driver { store: &mut store, server: &server, session, now_ms, seed: 1 };
        let result = driver.run(&commands(&["MULTI", "SET x 1", "EXEC"]));
        replies(&result).last() == Some(&Reply::Array(vec![Reply::OK]))
    };
    let watched = ["SET k v PX 100", "WATCH k"];
    assert!(executed(&watched, 100, false), "it lives until then");
    assert!(!executed(&watched, 101, false));
    assert!(!executed(&watched, 101, true));
    // What was not there, or not alive, cannot expire.
    assert!(executed(&["WATCH k"], 101, false));
    assert!(executed(&["SET k v", "WATCH k"], 101, false));
}
