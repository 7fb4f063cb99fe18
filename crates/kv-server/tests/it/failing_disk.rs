//! Disks that hang, fail and fill up, seen from the wire: what is answered, what
//! waits, and what monitoring is told.

use std::sync::Arc;
use std::time::Duration;

use kv_engine::FlushSize;
use kv_env::{Failure, Fault, Operation, SimDisk};

use crate::client::{Client, TestServer, info, wait_for};
use crate::gate::{Gate, Sync, gated};
use crate::wire::Wire;

#[track_caller]
fn assert_error(reply: &Wire, word: &str) {
    assert!(reply.error_text().starts_with(word), "{reply:?}");
}

/// A server whose disk has hung while `writer` set `a` to 1, and whose next
/// client asks something that rests on that write.
struct Hanging {
    server: TestServer,
    gate: Arc<Gate>,
    writer: Client,
    asker: Client,
    other: Client,
}

impl Hanging {
    /// Returns once the write and the question both wait for the disk.
    #[track_caller]
    fn start(seed: u64, question: &[u8]) -> Hanging {
        let (gate, env) = gated(&SimDisk::new(seed));
        let server = TestServer::simulated(env, |_| {});
        let [mut writer, mut asker, mut other] = std::array::from_fn(|_| server.connect());
        gate.set(Sync::Hangs);
        writer.send(b"SET a 1\r\n");
        gate.wait_for_hang();
        asker.send(question);
        wait_for(&mut other, "commits_in_flight", "2");
        Hanging { server, gate, writer, asker, other }
    }
}

/// `SETNX` of a key that another client is just writing: nothing is to be
/// written, but the answer rests on a write that is not durable yet.
#[test]
fn an_answer_waits_for_the_writes_it_rests_on() {
    let mut hanging = Hanging::start(1, b"SETNX a 2\r\n");
    let Hanging { gate, writer, asker, other, .. } = &mut hanging;
    assert_eq!(other.say("GET a"), Wire::Nil, "not shown before it is durable");
    assert!(writer.is_waiting() && asker.is_waiting(), "nothing is answered before that either");
    gate.set(Sync::Succeeds);
    assert_eq!(asker.reply(), Wire::Integer(0));
    assert_eq!(writer.reply(), Wire::ok());
    assert_eq!(other.say("GET a"), Wire::bulk("1"));
}

#[test]
fn an_answer_that_rests_on_a_write_that_failed_is_not_given() {
    let Hanging { server, gate, mut writer, mut asker, mut other } =
        Hanging::start(2, b"SETNX a 2\r\nGET a\r\n");
    gate.set(Sync::Fails);
    assert_error(&writer.reply(), "MISCONF ");
    assert_error(&asker.reply(), "MISCONF ");
    assert_eq!(asker.reply(), Wire::Nil, "nobody sees what may not be there");
    assert_eq!(info(&mut other, "health"), "poisoned");
    let cause = info(&mut other, "health_cause");
    assert!(cause.contains("sync wal.log: it failed"), "{cause}");
    assert_eq!(info(&mut other, "aof_last_write_status"), "err");
    assert!(server.stop().is_err(), "the end is told, too");
}

#[test]
fn a_disk_that_hangs_is_told_and_new_writes_are_refused() {
    let disk = SimDisk::new(3);
    let (gate, env) = gated(&disk);
    let server = TestServer::simulated(env, |_| {});
    let (mut writer, mut other) = (server.connect(), server.connect());
    assert_eq!(other.say("SET before 1"), Wire::ok());
    gate.set(Sync::Hangs);
    writer.send(b"SET a 1\r\n");
    gate.wait_for_hang();
    disk.clock().advance(Duration::from_secs(10));
    assert_eq!(info(&mut other, "health"), "ok", "slow is not hung");
    disk.clock().advance(Duration::from_millis(1));
    assert_eq!(info(&mut other, "health"), "stalled");
    for _ in 0..100 {
        assert_error(&other.say("SET b 1"), "BUSY ");
    }
    assert_eq!(info(&mut other, "commits_in_flight"), "1", "refused without being tried");
    other.send(b"MULTI\r\nINCR c\r\nEXEC\r\nGET before\r\n");
    let replies = other.replies(4);
    assert!(replies[2].error_text().contains("BUSY"), "{replies:?}");
    assert_eq!(replies[3], Wire::bulk("1"), "reads go on");
    assert!(writer.is_waiting(), "no timeout is an answer");
    gate.set(Sync::Succeeds);
    assert_eq!(writer.reply(), Wire::ok());
    assert_eq!(other.say("SET b 2"), Wire::ok());
    assert_eq!(info(&mut other, "health"), "ok");
    assert_eq!(other.say("MGET a b c").items().len(), 3);
}

#[test]
fn a_full_disk_is_told_and_heals() {
    let disk = SimDisk::new(4);
    let server = TestServer::simulated(disk.env(), |config| {
        config.memtable_flush_size = FlushSize::Bytes(16 << 10);
        config.disk_reserve_size = Some(300 << 10);
    });
    let mut client = server.connect();
    disk.set_capacity(Some(1 << 20));
    // No compression makes these small.
    let noise: Vec<u8> =
        (0..4000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut stored = 0;
    for attempt in 0.. {
        assert!(attempt < 10_000, "the disk has an end");
        match client.call([&b"SET"[..], format!("key{stored}").as_bytes(), &noise]) {
            Wire::Error(text) => assert!(text.starts_with("ERR no space left"), "{text}"),
            reply => {
                assert_eq!(reply, Wire::ok());
                stored += 1;
                continue;
            }
        }
        // A compaction that ends may make room for some more.
        if info(&mut client, "disk_full") == "1" && info(&mut client, "health") == "disk_full" {
            break;
        }
    }
    assert_eq!(client.say("GET key0"), Wire::Bulk(noise.clone()), "reads go on");
    disk.set_capacity(None);
    wait_for(&mut client, "health", "ok");
    assert_eq!(client.say("SET more 1"), Wire::ok());
    assert_eq!(client.say("DBSIZE"), Wire::Integer(stored + 1), "nothing was lost");
}

/// Tables cannot be created for a while: that is told, and over when it is over.
#[test]
fn a_flush_without_descriptors_is_told_and_repeated() {
    let disk = SimDisk::new(5);
    let server = TestServer::simulated(disk.env(), |config| {
        config.memtable_flush_size = FlushSize::Entries(20);
    });
    let mut client = server.connect();
    disk.inject(Fault::new(Failure::TooManyOpenFiles).of(Operation::Create).on("*.db"));
    for number in 0..30 {
        assert_eq!(client.say(&format!("SET key{number} 1")), Wire::ok());
    }
    wait_for(&mut client, "health", "waiting");
    assert_eq!(client.say("SET more 1"), Wire::ok(), "memory takes it");
    let refused = client.say("KV.FLUSH");
    assert!(refused.error_text().contains("open files"), "{refused:?}");
    disk.clear_faults();
    wait_for(&mut client, "health", "ok");
    assert_eq!(client.say("KV.FLUSH"), Wire::ok());
    assert_eq!(client.say("DBSIZE"), Wire::Integer(31));
}
