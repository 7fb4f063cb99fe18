//! What `SCAN` and `RANDOMKEY` promise.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::driver::{Driver, START_MS};
use super::store::Store;
use super::test_server::TestServer;
use crate::command::Session;
use crate::command::scan_cursor::{SLOTS, ScanCursors, ScanPosition};
use crate::resp::{OwnedArgs, Reply};

fn ask(store: &mut Store, server: &TestServer, seed: u64, arguments: &[&str]) -> Reply {
    let mut session = Session::new(1, true);
    let mut driver = Driver { store, server, session: &mut session, now_ms: START_MS, seed };
    driver.run(&[OwnedArgs::of(arguments)]).replies.pop().unwrap().0
}

fn text(reply: &Reply) -> String {
    let Reply::Bulk(bytes) = reply else { panic!("{reply:?}") };
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// One call of `SCAN`: the next cursor and the keys.
fn scan(
    store: &mut Store,
    server: &TestServer,
    cursor: &str,
    count: usize,
) -> (String, Vec<String>) {
    let count = count.to_string();
    let reply = ask(store, server, 1, &["SCAN", cursor, "COUNT", &count]);
    let Reply::Array(parts) = reply else { panic!("{reply:?}") };
    let Reply::Array(keys) = &parts[1] else { panic!("{parts:?}") };
    (text(&parts[0]), keys.iter().map(text).collect())
}

#[derive(Debug, Clone)]
enum Meanwhile {
    Set(u8),
    Delete(u8),
    Restart,
    Nothing,
}

fn meanwhile() -> impl Strategy<Value = Meanwhile> {
    prop_oneof![
        any::<u8>().prop_map(Meanwhile::Set),
        any::<u8>().prop_map(Meanwhile::Delete),
        Just(Meanwhile::Restart),
        Just(Meanwhile::Nothing),
    ]
}

/// Keys with common heads and of several lengths.
fn key(number: u8) -> String {
    let head = ["", "a", "key:", "key:long:"][usize::from(number % 4)];
    format!("{head}{number}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A key that is there during the whole scan is returned, whatever comes
    /// and goes meanwhile, across restarts too.
    #[test]
    fn a_scan_returns_all_that_stays(
        first in proptest::collection::btree_set(any::<u8>(), 0..60),
        count in 1usize..12,
        meanwhile in proptest::collection::vec(meanwhile(), 0..40),
    ) {
        let mut store = Store::default();
        let mut server = TestServer::new();
        for number in &first {
            ask(&mut store, &server, 1, &["SET", &key(*number), "v"]);
        }
        let mut staying: BTreeSet<u8> = first;
        let mut seen = BTreeSet::new();
        let mut cursor = "0".to_owned();
        let mut meanwhile = meanwhile.into_iter();
        loop {
            let (next, keys) = scan(&mut store, &server, &cursor, count);
            prop_assert!(keys.len() <= count);
            seen.extend(keys);
            cursor = next;
            if cursor == "0" {
                break;
            }
            match meanwhile.next() {
                Some(Meanwhile::Set(number)) => {
                    ask(&mut store, &server, 1, &["SET", &key(number), "v"]);
                }
                Some(Meanwhile::Delete(number)) => {
                    ask(&mut store, &server, 1, &["DEL", &key(number)]);
                    staying.remove(&number);
                }
                Some(Meanwhile::Restart) => server = TestServer::new(),
                Some(Meanwhile::Nothing) | None => {}
            }
        }
        for number in staying {
            prop_assert!(seen.contains(&key(number)), "{} was left out", key(number));
        }
    }
}

#[test]
fn a_scan_without_changes_returns_each_key_once() {
    let mut store = Store::default();
    let server = TestServer::new();
    for number in 0..=255 {
        ask(&mut store, &server, 1, &["SET", &key(number), "v"]);
    }
    let mut seen = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        let (next, keys) = scan(&mut store, &server, &cursor, 7);
        seen.extend(keys);
        cursor = next;
        if cursor == "0" {
            break;
        }
    }
    let distinct: BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len()), (256, 256));
    assert!(seen.is_sorted());
}

#[test]
fn a_forgotten_cursor_goes_on_before_its_key() {
    let cursors = ScanCursors::new(0);
    let first = cursors.remember(3, b"key:5");
    assert_eq!(cursors.position(3, first), ScanPosition::Behind(b"key:5".to_vec()));
    // Another database must not go on at a key of this one.
    assert_eq!(cursors.position(4, first), ScanPosition::From(b"key:".to_vec()));
    for _ in 0..SLOTS {
        cursors.remember(3, b"key:9");
    }
    assert_eq!(cursors.position(3, first), ScanPosition::From(b"key:".to_vec()));
    assert_eq!(ScanCursors::new(5).position(3, first), ScanPosition::From(b"key:".to_vec()));
    assert_eq!(cursors.position(3, 0), ScanPosition::Start);
    let short = cursors.remember(3, b"k");
    assert_eq!(ScanCursors::new(5).position(3, short), ScanPosition::From(b"k".to_vec()));
}

#[test]
fn tickets_wrap_without_a_zero() {
    let cursors = ScanCursors::new(u32::MAX - 1);
    let cursor = [(); 3].map(|()| cursors.remember(0, b""));
    assert_eq!(cursor, [u64::from(u32::MAX), 1, 2]);
    for cursor in cursor {
        assert_eq!(cursors.position(0, cursor), ScanPosition::Behind(Vec::new()));
    }
}

#[test]
fn every_key_can_be_the_random_one() {
    let mut store = Store::default();
    let server = TestServer::new();
    let keys = ["a", "b", "key:1", "key:2", "z"];
    for key in keys {
        ask(&mut store, &server, 1, &["SET", key, "v"]);
    }
    let found: BTreeSet<_> =
        (0..2000).map(|seed| text(&ask(&mut store, &server, seed, &["RANDOMKEY"]))).collect();
    assert!(found.is_superset(&["a", "b", "z"].map(str::to_owned).into()), "{found:?}");
    assert!(found.iter().all(|key| keys.contains(&key.as_str())));
    // The same seed gives the same key.
    let again = [(); 2].map(|()| ask(&mut store, &server, 77, &["RANDOMKEY"]));
    assert_eq!(again[0], again[1]);
}
