//! Clients that write without a pause: they are told to end like all others.

use std::sync::mpsc;
use std::thread;

use crate::client::{Client, TestServer};
use crate::wire::Wire;

/// Requests that one of them sends unless it is stopped: seconds of work.
const MANY: usize = 3_000_000;

/// Writes: while one waits for the engine the connection is as if new to its thread.
const SET: &[u8] = b"SET a 1\r\n";
const OK: &[u8] = b"+OK\r\n";

/// Sends on one thread and reads on another until the server closes the connection
/// or all is answered, and calls `stop` in the middle. Returns the number of answers.
fn answers_until_stopped(mut client: Client, stop: impl FnOnce()) -> usize {
    let mut sender = client.another_handle();
    let (began, has_begun) = mpsc::channel();
    let sending = thread::spawn(move || {
        let part = SET.repeat(10_000);
        for _ in 0..MANY / 10_000 {
            if !sender.try_send(&part) {
                return;
            }
        }
        sender.finish_sending();
    });
    let reading = thread::spawn(move || {
        assert_eq!(client.reply(), Wire::ok());
        began.send(()).unwrap();
        1 + client.bytes_until_closed() / OK.len()
    });
    has_begun.recv().unwrap();
    stop();
    let answers = reading.join().unwrap();
    sending.join().unwrap();
    answers
}

#[test]
fn a_busy_client_is_killed() {
    let server = TestServer::start();
    let mut admin = server.connect();
    let mut busy = server.connect();
    let kill = format!("CLIENT KILL ID {}", busy.say("CLIENT ID").integer());
    let answers = answers_until_stopped(busy, || {
        assert_eq!(admin.say(&kill), Wire::Integer(1));
    });
    assert!(answers < MANY, "it was served to its end");
}

#[test]
fn a_stop_does_not_wait_for_a_busy_client() {
    let server = TestServer::start();
    let busy = server.connect();
    let answers = answers_until_stopped(busy, || server.stop().unwrap());
    assert!(answers < MANY, "it was served to its end");
}

/// What has been executed is answered, however much more the client has sent.
#[test]
fn what_a_stopped_client_has_written_is_answered() {
    let mut server = TestServer::start();
    let mut busy = server.connect();
    busy.say("DEL count");
    let mut sender = busy.another_handle();
    let sending = thread::spawn(move || {
        let part = b"INCR count\r\n".repeat(1000);
        while sender.try_send(&part) {}
    });
    let reading = thread::spawn(move || {
        assert_eq!(busy.reply(), Wire::Integer(1));
        let replies = busy.replies_until_closed();
        replies.last().map_or(1, Wire::integer)
    });
    let mut admin = server.connect();
    while !matches!(admin.say("GET count"), Wire::Bulk(_)) {}
    drop(admin);
    server.restart();
    let last = reading.join().unwrap();
    sending.join().unwrap();
    assert_eq!(server.connect().say("GET count"), Wire::bulk(last.to_string()));
}
