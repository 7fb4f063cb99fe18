//! Steps of the deletion of everything and of the sweep.

use super::driver::{Driver, START_MS};
use super::scripts::split;
use super::store::Store;
use super::test_server::TestServer;
use crate::command::{Session, delete_step, sweep_step};

fn store_with(lines: &[&str]) -> Store {
    let mut store = Store::default();
    let server = TestServer::new();
    let mut session = Session::new(1, true);
    let commands: Vec<_> = lines.iter().map(|line| split(line)).collect();
    let mut driver = Driver {
        store: &mut store,
        server: &server,
        session: &mut session,
        now_ms: START_MS,
        seed: 1,
    };
    driver.run(&commands);
    store
}

fn user_keys(store: &Store) -> Vec<String> {
    let keys = store.contents().into_keys();
    keys.map(|key| format!("{}:{}", key[0], key[2..].escape_ascii())).collect()
}

#[test]
fn a_deletion_takes_as_many_keys_as_a_step_may() {
    let lines = ["MSET a 1 b 2 c 3 d 4 e 5", "SELECT 1", "SET other 1"];
    let mut store = store_with(&lines);
    let mut from: Option<Vec<u8>> = None;
    let mut sizes = Vec::new();
    loop {
        let view = store.clone();
        let step = delete_step(&view, Some(0), from.as_deref(), 2).unwrap();
        sizes.push(step.batch.count());
        assert!(step.batch.expectations().is_empty());
        store.commit(&step.batch).unwrap();
        from = step.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(user_keys(&store), ["1:other"]);
}

#[test]
fn a_sweep_removes_what_has_expired_and_counts_the_rest() {
    let mut store = store_with(&[
        "SET old v PXAT 1000",
        "SET due v EX 10",
        "MSET a 1 b 2",
        "SELECT 15",
        "SET last v PXAT 1000",
        "SET far v EX 100",
    ]);
    let view = store.clone();
    let step = sweep_step(&view, START_MS, None, 100).unwrap();
    assert_eq!(step.next, None);
    assert_eq!((step.live[0], step.will_expire[0]), (3, 1));
    assert_eq!((step.live[15], step.will_expire[15]), (1, 1));
    assert_eq!(step.batch.count(), 2);
    store.commit(&step.batch).unwrap();
    assert_eq!(user_keys(&store), ["0:a", "0:b", "0:due", "15:far"]);
}

#[test]
fn a_sweep_goes_on_where_it_stopped() {
    let store = store_with(&["MSET a 1 b 2 c 3 d 4"]);
    let first = sweep_step(&store, START_MS, None, 3).unwrap();
    assert_eq!(first.live[0], 3);
    let second = sweep_step(&store, START_MS, first.next.as_deref(), 3).unwrap();
    assert_eq!((second.live[0], second.next), (1, None));
}

#[test]
fn a_sweep_spares_a_key_that_is_set_again_meanwhile() {
    let mut store = store_with(&["SET a v PXAT 1000"]);
    let view = store.clone();
    let step = sweep_step(&view, START_MS, None, 100).unwrap();
    let again = store_with(&["SET a new"]);
    let value = again.contents().into_iter().next().unwrap();
    let mut batch = kv_core::WriteBatch::new();
    batch.put(&value.0, &value.1).unwrap();
    store.commit(&batch).unwrap();
    assert!(matches!(store.commit(&step.batch), Err(kv_core::Error::Conflict)));
    assert_eq!(user_keys(&store), ["0:a"]);
}
