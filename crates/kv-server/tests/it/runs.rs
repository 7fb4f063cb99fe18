//! Runs end to end: order, atomicity, retries, durability.

use std::thread;

use kv_engine::Durability;

use crate::client::{Client, TestServer, info, wait_for_counter};
use crate::wire::{Wire, request};

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start();
    let mut client = server.connect();
    let mut bytes = Vec::new();
    for number in 0..3000 {
        let number = number.to_string();
        bytes.extend(request(["SET", "key", &number]));
        bytes.extend(request(["GET", "key"]));
        bytes.extend_from_slice(b"ECHO inline\r\n");
    }
    // More than the socket's buffers hold, so somebody has to read meanwhile.
    thread::scope(|scope| {
        let mut reader = client.another_handle();
        scope.spawn(move || reader.send(&bytes));
        for number in 0..3000 {
            assert_eq!(client.reply(), Wire::ok());
            assert_eq!(client.reply(), Wire::bulk(number.to_string()));
            assert_eq!(client.reply(), Wire::bulk("inline"));
        }
    });
}

#[test]
fn a_run_reads_its_own_writes_and_so_does_everyone_after_it() {
    let server = TestServer::start();
    let mut client = server.connect();
    client
        .send(b"GET a\r\nSET a 1\r\nINCR a\r\nGET a\r\nDEL a\r\nGET a\r\nSET a 9\r\nMGET a b\r\n");
    let expected = [
        Wire::Nil,
        Wire::ok(),
        Wire::Integer(2),
        Wire::bulk("2"),
        Wire::Integer(1),
        Wire::Nil,
        Wire::ok(),
        Wire::Array(vec![Wire::bulk("9"), Wire::Nil]),
    ];
    assert_eq!(client.replies(8), expected);
    assert_eq!(server.connect().say("GET a"), Wire::bulk("9"));
}

#[test]
fn a_run_of_writes_is_one_batch() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.say("PING");
    let before: u64 = info(&mut client, "batches").parse().unwrap();
    client.send(b"SET a 1\r\nSET b 2\r\nINCR c\r\nAPPEND a x\r\nDEL b\r\n");
    client.replies(5);
    let after: u64 = info(&mut client, "batches").parse().unwrap();
    assert_eq!(after - before, 1);
}

#[test]
fn transactions_are_atomic_and_watched() {
    let server = TestServer::start();
    let mut client = server.connect();
    let mut other = server.connect();
    client.send(b"MULTI\r\nSET a 1\r\nINCR a\r\nGET a\r\nEXEC\r\nGET a\r\n");
    let queued = || Wire::Simple("QUEUED".to_owned());
    let executed = Wire::Array(vec![Wire::ok(), Wire::Integer(2), Wire::bulk("2")]);
    assert_eq!(
        client.replies(6),
        [Wire::ok(), queued(), queued(), queued(), executed, Wire::bulk("2")]
    );

    client.say("WATCH a");
    other.say("SET a changed");
    client.send(b"MULTI\r\nSET a mine\r\nEXEC\r\n");
    assert_eq!(client.replies(3), [Wire::ok(), queued(), Wire::NilArray]);
    assert_eq!(client.say("GET a"), Wire::bulk("changed"));
}

/// 16 clients, few keys, pipelines of increments: nothing gets lost, however
/// often runs have to be repeated. The pipelines are long so that two of them
/// are executed at the same time now and then, which is a conflict.
fn check_increments(durability: Durability) {
    const CLIENTS: usize = 16;
    const ROUNDS: usize = 10;
    const INCREMENTS: usize = 100;
    let server = TestServer::with(|config| config.durability = durability);
    let address = server.address();
    let mut pipeline = b"INCR a\r\nINCR b\r\n".repeat(INCREMENTS);
    pipeline.extend_from_slice(b"MULTI\r\nINCR a\r\nINCRBY b 2\r\nEXEC\r\n");
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                for _ in 0..ROUNDS {
                    client.send(&pipeline);
                    let replies = client.replies(2 * INCREMENTS + 4);
                    let [first, .., executed] = &replies[..] else { unreachable!() };
                    let Wire::Array(last) = executed else { panic!("{executed:?}") };
                    // What one client is told only rises, by its own steps at least.
                    assert!(last[0].integer() >= first.integer() + INCREMENTS as i64);
                }
            });
        }
    });
    let mut client = server.connect();
    let rounds = (CLIENTS * ROUNDS) as i64;
    let increments = INCREMENTS as i64;
    assert_eq!(client.say("GET a"), Wire::bulk((rounds * (increments + 1)).to_string()));
    assert_eq!(client.say("GET b"), Wire::bulk((rounds * (increments + 2)).to_string()));
}

#[test]
fn no_increment_is_lost_with_sync_durability() {
    check_increments(Durability::Sync);
}

#[test]
fn no_increment_is_lost_with_interval_durability() {
    check_increments(Durability::Interval);
}

#[test]
fn no_increment_is_lost_with_os_durability() {
    check_increments(Durability::Os);
}

#[test]
fn writes_survive_a_restart() {
    let mut server = TestServer::start();
    let mut client = server.connect();
    client.say("SET stays 1");
    client.say("SET expires 1 PX 3600000");
    client.say("SET gone 1 PX 1");
    client.say("SELECT 3");
    client.say("SET elsewhere 2");
    server.restart();
    let mut client = server.connect();
    assert_eq!(client.say("GET stays"), Wire::bulk("1"));
    assert_eq!(client.say("GET elsewhere"), Wire::Nil);
    let left = client.say("PTTL expires").integer();
    assert!((1..=3_600_000).contains(&left), "{left}");
    client.say("SELECT 3");
    assert_eq!(client.say("GET elsewhere"), Wire::bulk("2"));
    assert!(server.running().start_line().contains("recovered after a clean shutdown"));
}

#[test]
fn large_values_come_back_as_they_were() {
    let server = TestServer::start();
    let mut client = server.connect();
    let value = |len: usize| (0..len).map(|at| (at * 31 % 251) as u8).collect::<Vec<u8>>();
    // Around the size from which values are sent from where they lie.
    let sizes = [0, 1, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 9 << 20];
    for (index, size) in sizes.into_iter().enumerate() {
        let key = format!("key{index}");
        assert_eq!(client.call([b"SET", key.as_bytes(), &value(size)]), Wire::ok());
        assert_eq!(client.call(["GET", &key]), Wire::Bulk(value(size)));
    }
    let all = client.say("MGET key0 key5 none key3 key2");
    let expected = [sizes[0], sizes[5], usize::MAX, sizes[3], sizes[2]].map(|size| match size {
        usize::MAX => Wire::Nil,
        size => Wire::Bulk(value(size)),
    });
    assert_eq!(all, Wire::Array(expected.to_vec()));
    client.say("KV.FLUSH");
    assert_eq!(client.say("GET key5"), Wire::Bulk(value(9 << 20)));
}

#[test]
fn a_run_with_large_replies_is_sent_in_pieces() {
    let server = TestServer::start();
    let mut client = server.connect();
    let value = vec![b'v'; 50_000];
    client.call([&b"SET"[..], b"big", &value]);
    let mut bytes = Vec::new();
    for number in 0..200 {
        bytes.extend(request(["GET", "big"]));
        bytes.extend(request(["SET", "last", &number.to_string()]));
    }
    client.send(&bytes);
    for _ in 0..200 {
        assert_eq!(client.reply(), Wire::Bulk(value.clone()));
        assert_eq!(client.reply(), Wire::ok());
    }
    assert_eq!(client.say("GET last"), Wire::bulk("199"));
}

#[test]
fn expired_keys_are_removed_in_the_background() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.send(b"SET stays 1\r\nSET later 1 EX 3600\r\nSET soon 1 PX 1\r\nSET soon2 1 PX 1\r\n");
    client.replies(4);
    wait_for_counter(&mut client, "expired_keys", 2);
    assert_eq!(client.say("DBSIZE"), Wire::Integer(2));
}

#[test]
fn jobs_of_the_engine_are_done_when_they_answer() {
    let server = TestServer::start();
    let mut client = server.connect();
    for number in 0..100 {
        client.call(["SET", &format!("key{number}"), "value"]);
    }
    let tables = |server: &TestServer| {
        let names = std::fs::read_dir(server.data_dir()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".db")).count()
    };
    assert_eq!(tables(&server), 0);
    assert_eq!(client.say("KV.FLUSH"), Wire::ok());
    assert_eq!(tables(&server), 1);
    assert_eq!(client.say("KV.COMPACT"), Wire::ok());
    let stats: serde_json::Value =
        serde_json::from_str(&client.say("KV.STATS").text()).expect("the statistics are JSON");
    assert_eq!(stats["flushes"], 1);
    assert!(matches!(client.say("KV.LEVELS"), Wire::Array(_)));
    // Behind pending writes of the same run, and in front of others.
    client.send(b"SET a 1\r\nFLUSHALL\r\nGET key1\r\nSET b 2\r\nDBSIZE\r\n");
    let expected = [Wire::ok(), Wire::ok(), Wire::Nil, Wire::ok(), Wire::Integer(1)];
    assert_eq!(client.replies(5), expected);
}

#[test]
fn long_commands_run_in_the_middle_of_a_pipeline() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.send(b"SET a 1\r\nKEYS *\r\nSET b 2\r\nKEYS *\r\nDEL a\r\nDBSIZE\r\n");
    let keys = |keys: &[&str]| Wire::Array(keys.iter().map(Wire::bulk).collect());
    let expected = [
        Wire::ok(),
        keys(&["a"]),
        Wire::ok(),
        keys(&["a", "b"]),
        Wire::Integer(1),
        Wire::Integer(1),
    ];
    assert_eq!(client.replies(6), expected);
}
