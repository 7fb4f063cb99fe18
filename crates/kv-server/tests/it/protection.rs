//! Bad input and bad manners: each gets one clear answer, and nobody else
//! notices.

use std::time::Duration;

use expect_test::{Expect, expect};
use kv_env::SimDisk;

use crate::client::{Client, TestServer, info, wait_for, wait_for_counter, wait_until};
use crate::wire::{Wire, request};

/// Sends `bytes` on a connection of its own; the replies until it is closed.
#[track_caller]
fn replies_before_close(server: &TestServer, bytes: &[u8]) -> Vec<Wire> {
    let mut client = server.connect();
    client.send(bytes);
    client.replies_until_closed()
}

#[track_caller]
fn check(replies: &[Wire], expected: Expect) {
    expected.assert_eq(&format!("{replies:?}"));
}

#[test]
fn malformed_requests_are_told_and_closed() {
    let server = TestServer::start();
    let mut bystander = server.connect();
    let ended = |bytes: &[u8]| replies_before_close(&server, bytes);
    check(
        &ended(b"SET a 1\r\n*2\r\n$3\r\nGET\r\n$x\r\n"),
        expect![[r#"[+OK, -ERR Protocol error: invalid bulk length]"#]],
    );
    check(
        &ended(b"*99999999\r\n"),
        expect![[r#"[-ERR Protocol error: invalid multibulk length]"#]],
    );
    check(
        &ended(b"*1\r\n$536870913\r\n"),
        expect![[r#"[-ERR Protocol error: invalid bulk length]"#]],
    );
    check(
        &ended(b"GET 'a\r\n"),
        expect![[r#"[-ERR Protocol error: unbalanced quotes in request]"#]],
    );
    check(&ended(&[b'a'; 70_000]), expect![[r#"[-ERR Protocol error: too big inline request]"#]]);
    assert_eq!(info(&mut bystander, "total_protocol_errors"), "5");
    assert_eq!(bystander.say("GET a"), Wire::bulk("1"));
}

#[test]
fn http_requests_are_closed_without_a_reply() {
    let server = TestServer::start();
    let post = b"POST /x HTTP/1.1\r\nContent-Length: 9\r\n\r\nSET a 1\r\n";
    assert_eq!(replies_before_close(&server, post), []);
    let get = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nSET a 1\r\n";
    check(
        &replies_before_close(&server, get),
        expect![[r#"[-ERR wrong number of arguments for 'get' command]"#]],
    );
    assert_eq!(server.connect().say("GET a"), Wire::Nil);
}

#[test]
fn wrong_arguments_leave_the_connection_open() {
    let server = TestServer::start();
    let mut client = server.connect();
    let mut say = |words: &str| client.say(words).error_text().to_owned();
    expect!["ERR wrong number of arguments for 'get' command"].assert_eq(&say("GET"));
    expect!["ERR unknown command 'NONSENSE', with args beginning with: 'a' 'b' "]
        .assert_eq(&say("NONSENSE a b"));
    expect!["ERR syntax error"].assert_eq(&say("SET a b c"));
    expect!["ERR value is not an integer or out of range"].assert_eq(&say("INCRBY a x"));
    let long_key = vec![b'k'; 70_000];
    let refused = client.call([&b"SET"[..], &long_key, b"value"]);
    expect!["ERR key of 70000 bytes is over the limit of 65533 bytes"]
        .assert_eq(refused.error_text());
    assert_eq!(client.call([&b"GET"[..], &long_key]), Wire::Nil);
    assert_eq!(client.say("PING"), Wire::Simple("PONG".to_owned()));
}

#[test]
fn requests_over_the_limit_are_refused_as_they_arrive() {
    let server = TestServer::with(|config| config.max_request_bytes = 1 << 20);
    let mut client = server.connect();
    let fits = vec![b'v'; (1 << 20) - 100];
    assert_eq!(client.call([&b"SET"[..], b"a", &fits]), Wire::ok());
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1048577\r\n");
    check(
        &client.replies_until_closed(),
        expect![[r#"[-ERR Protocol error: invalid bulk length]"#]],
    );
    let mut client = server.connect();
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1048570\r\n");
    check(
        &client.replies_until_closed(),
        expect![[r#"[-ERR Protocol error: request is longer than 1048576 bytes]"#]],
    );
    assert_eq!(server.connect().say("STRLEN a"), Wire::Integer(fits.len() as i64));
}

fn with_password() -> TestServer {
    TestServer::with(|config| config.password = "secret".into())
}

#[test]
fn before_auth_only_little_is_taken() {
    let server = with_password();
    let mut client = server.connect();
    assert_eq!(client.say("GET a").error_text(), "NOAUTH Authentication required.");
    assert!(client.say("AUTH wrong").error_text().starts_with("WRONGPASS"));
    client.send(b"AUTH secret\r\nSET a 1\r\nGET a\r\n");
    assert_eq!(client.replies(3), [Wire::ok(), Wire::ok(), Wire::bulk("1")]);
    // The limits are gone then.
    let value = vec![b'v'; 100_000];
    assert_eq!(client.call([&b"SET"[..], b"a", &value]), Wire::ok());

    let ended = |bytes: &[u8]| replies_before_close(&server, bytes);
    check(
        &ended(b"*11\r\n$4\r\nPING\r\n"),
        expect![[r#"[-ERR Protocol error: unauthenticated multibulk length]"#]],
    );
    check(
        &ended(b"*2\r\n$4\r\nAUTH\r\n$16385\r\n"),
        expect![[r#"[-ERR Protocol error: unauthenticated bulk length]"#]],
    );
    let mut client = server.connect();
    let ping = request(["PING", &"x".repeat(16_000)]);
    let mut answered = 0;
    while client.try_send(&ping)
        && client
            .next_reply()
            .is_some_and(|reply| reply.error_text() == "NOAUTH Authentication required.")
    {
        answered += 1;
    }
    assert!((60..70).contains(&answered), "about 1 MiB is taken: {answered} times 16 kB");
    // What is answered counts as well: the reply to a short request is much longer.
    let mut client = server.connect();
    client.try_send(&b"P\r\n".repeat(60_000));
    let replies = client.replies_until_closed();
    assert!((15_000..20_000).contains(&replies.len()), "{} were answered", replies.len());
}

#[test]
fn others_cannot_reach_a_server_without_a_password() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = kv_server::Config {
        listen: "0.0.0.0:0".parse().unwrap(),
        data_dir: directory.path().join("data"),
        ..kv_server::Config::default()
    };
    let refused = kv_server::RunningServer::start(config.clone().into());
    assert_eq!(refused.err().unwrap().exit_code(), 2);
    assert!(!config.data_dir.exists(), "nothing was created");
    config.password = "secret".into();
    kv_server::RunningServer::start(config.into()).unwrap().stop().unwrap();
}

#[test]
fn one_client_too_many_is_told_so() {
    let server = TestServer::with(|config| config.max_clients = 2);
    let mut first = server.connect();
    let mut second = server.connect();
    first.say("PING");
    second.say("PING");
    check(
        &server.connect().replies_until_closed(),
        expect![[r#"[-ERR max number of clients reached]"#]],
    );
    first.say("CONFIG SET maxclients 3 max_clients_per_address 2");
    check(
        &server.connect().replies_until_closed(),
        expect![[r#"[-ERR max number of clients from this address reached]"#]],
    );
    assert_eq!(info(&mut first, "rejected_connections"), "2");
    second.say("QUIT");
    assert_eq!(second.replies_until_closed(), []);
    wait_for(&mut first, "connected_clients", "1");
    assert_eq!(server.connect().say("PING"), Wire::Simple("PONG".to_owned()));
}

/// Waits until `bytes` of some client wait for the rest of their request, or until
/// none do.
#[track_caller]
fn wait_for_input(asking: &mut Client, bytes: usize, are_waiting: bool) {
    let wanted = format!(" qbuf={bytes} ");
    wait_until(asking, &format!("{wanted:?} is listed: {are_waiting}"), |asking| {
        asking.say("CLIENT LIST").text().contains(&wanted) == are_waiting
    });
}

#[test]
fn the_memory_of_all_clients_together_is_limited() {
    let server = TestServer::with(|config| config.client_memory_limit = 16 << 20);
    let mut first = server.connect();
    let header = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$12000000\r\n";
    let value = vec![b'v'; 12_000_000];
    first.send(header);
    first.send(&value);
    let mut second = server.connect();
    // The first has its memory before the second asks for more.
    wait_for_input(&mut second, header.len() + value.len(), true);
    second.send(header);
    second.try_send(&value);
    let told = second.replies_until_closed();
    check(
        &told,
        expect![[
            r#"[-ERR the memory for clients is used up (client_memory_limit); try again later]"#
        ]],
    );
    first.send(b"\r\n");
    assert_eq!(first.reply(), Wire::ok());
    assert_eq!(first.say("STRLEN a"), Wire::Integer(12_000_000));
    // What was reserved is free again.
    let mut third = server.connect();
    assert_eq!(third.call([&b"SET"[..], b"a", &value]), Wire::ok());
}

/// They are no run, so nothing executes them, and they are dropped all the same.
#[test]
fn requests_without_arguments_do_not_pile_up() {
    let server = TestServer::with(|config| config.client_memory_limit = 1 << 20);
    let mut client = server.connect();
    for empty in [&b"*0\r\n"[..], b"*-1\r\n", b"\r\n"] {
        assert!(client.try_send(&empty.repeat((4 << 20) / empty.len())));
        assert_eq!(client.say("PING"), Wire::Simple("PONG".to_owned()), "{empty:?}");
    }
}

#[test]
fn queued_commands_count_as_memory_of_their_client() {
    let server = TestServer::with(|config| config.client_memory_limit = 16 << 20);
    let mut client = server.connect();
    client.say("MULTI");
    let queued = request([&b"SET"[..], b"a", &vec![b'v'; 1 << 20]]);
    for _ in 0..30 {
        if !client.try_send(&queued) {
            break;
        }
    }
    let replies = client.replies_until_closed();
    let (last, before) = replies.split_last().unwrap();
    assert!(last.error_text().contains("client_memory_limit"), "{last:?}");
    assert!((8..=17).contains(&before.len()), "{} MiB were queued", before.len());
    assert_eq!(server.connect().say("EXISTS a"), Wire::Integer(0));
}

/// Whoever is sent away stays for a moment, so that he reads why, and holds nothing
/// meanwhile.
#[test]
fn what_a_client_held_is_free_when_it_is_told_to_go() {
    let server = TestServer::start();
    let mut client = server.connect();
    let mut other = server.connect();
    assert_eq!(client.say("WATCH a"), Wire::ok());
    assert_eq!(client.say("MULTI"), Wire::ok());
    client.call([&b"SET"[..], b"a", &vec![b'v'; 1 << 20]]);
    assert_ne!(info(&mut other, "used_memory_clients_reserved"), "0");
    // Begun, so that the decoder holds the places of many arguments.
    client.send(&[&b"*5000\r\n"[..], &b"$1\r\na\r\n".repeat(4900), b"$x\r\n"].concat());
    assert_eq!(client.reply().error_text(), "ERR Protocol error: invalid bulk length");
    assert_eq!(info(&mut other, "used_memory_clients_reserved"), "0");
}

#[test]
fn silent_dripping_and_unauthenticated_clients_are_closed() {
    let server = with_password();
    let mut admin = server.connect();
    admin.say("AUTH secret");
    admin.say("CONFIG SET idle_timeout_s 0 request_timeout_s 1 auth_timeout_s 1");
    let mut dripping = server.connect();
    dripping.say("AUTH secret");
    dripping.send(b"*2\r\n$3\r\nGE");
    let mut stranger = server.connect();
    assert_eq!(dripping.replies_until_closed(), []);
    assert_eq!(stranger.replies_until_closed(), []);

    let mut silent = server.connect();
    silent.say("AUTH secret");
    // A second, for the sake of the test; the administrator keeps talking.
    admin.say("CONFIG SET idle_timeout_s 1");
    wait_for_counter(&mut admin, "total_client_timeouts", 3);
    assert_eq!(silent.replies_until_closed(), []);
    assert_eq!(info(&mut admin, "connected_clients"), "1");
}

/// The end of a request without arguments is the begin of the next one's time.
#[test]
fn what_drips_behind_a_request_without_arguments_is_closed() {
    let server = TestServer::with(|config| {
        (config.request_timeout_s, config.idle_timeout_s) = (1, 0);
    });
    let mut admin = server.connect();
    let mut dripping = server.connect();
    dripping.send(b"*0\r");
    wait_for_input(&mut admin, 3, true);
    dripping.send(b"\n");
    wait_for_input(&mut admin, 3, false);
    dripping.send(b"*2\r\n$3\r\nGE");
    assert_eq!(dripping.replies_until_closed(), []);
}

/// Where both come with one read, the time of the one is not that of the other.
#[test]
fn what_begins_behind_a_request_without_arguments_has_a_time_of_its_own() {
    let disk = SimDisk::new(1);
    let server = TestServer::simulated(disk.env(), |config| {
        (config.request_timeout_s, config.idle_timeout_s) = (30, 0);
    });
    let mut admin = server.connect();
    let [mut client, mut dripping] = std::array::from_fn(|_| server.connect());
    client.send(b"*0\r");
    wait_for_input(&mut admin, 3, true);
    dripping.send(b"*1\r\n");
    wait_for_input(&mut admin, 4, true);
    disk.clock().advance(Duration::from_secs(29));
    client.send(b"\n*2\r\n$3\r\nGE");
    wait_for_input(&mut admin, 10, true);
    disk.clock().advance(Duration::from_secs(2));
    // Whoever ends overdue requests has looked at both.
    assert_eq!(dripping.replies_until_closed(), []);
    client.send(b"T\r\n$1\r\na\r\n");
    assert_eq!(client.reply(), Wire::Nil);
}

#[test]
fn clients_that_do_not_take_their_replies_are_closed() {
    let server = TestServer::with(|config| config.request_timeout_s = 1);
    let mut admin = server.connect();
    let value = vec![b'v'; 1 << 20];
    admin.call([&b"SET"[..], b"big", &value]);
    let mut deaf = server.connect();
    deaf.send(&b"GET big\r\n".repeat(64));
    wait_for_counter(&mut admin, "total_client_timeouts", 1);
    assert_eq!(info(&mut admin, "connected_clients"), "1");
}

/// What is copied for a client may be large for a moment, not for long; what is
/// sent from where it lies costs nothing and may take its time.
#[test]
fn much_may_wait_for_a_client_for_a_short_time_only() {
    let server = TestServer::with(|config| {
        config.request_timeout_s = 0;
        config.client_output_soft_limit = 1 << 20;
        config.client_output_soft_limit_s = 1;
    });
    let mut admin = server.connect();
    admin.call([&b"SET"[..], b"small", &vec![b'v'; 60_000]]);
    admin.call([&b"SET"[..], b"large", &vec![b'v'; 1 << 20]]);
    // Both are more than the buffers of two sockets take.
    let mut patient = server.connect();
    patient.send(&request(["MGET"].into_iter().chain(["large"; 40])));
    let mut deaf = server.connect();
    deaf.send(&request(["MGET"].into_iter().chain(["small"; 600])));
    wait_for_counter(&mut admin, "client_output_buffer_limit_disconnections", 1);
    // It was told to end, and does so at once.
    wait_for(&mut admin, "connected_clients", "2");
    assert_eq!(info(&mut admin, "total_client_timeouts"), "0");
    assert_eq!(patient.reply().items().len(), 40);
    assert_eq!(patient.say("PING"), Wire::Simple("PONG".to_owned()));
}

/// A request of a few bytes may write a value of any length: while that waits
/// for the disk it is memory of its client.
#[test]
fn what_a_short_request_writes_counts_as_memory_of_its_client() {
    let server = TestServer::with(|config| config.client_memory_limit = 16 << 20);
    let mut client = server.connect();
    client.send(b"SETRANGE big 30000000 x\r\nSET a 1\r\nGET a\r\n");
    let replies = client.replies(3);
    check(
        &replies[..1],
        expect![[
            r#"[-BUSY busy: the memory for clients is used up (client_memory_limit); try again later]"#
        ]],
    );
    assert_eq!(replies[2], Wire::Nil, "one batch with the first, refused with it");
    assert_eq!(client.say("SETRANGE big 10000000 x"), Wire::Integer(10_000_001));
    assert_eq!(client.say("SET a 1"), Wire::ok());
    assert_eq!(info(&mut client, "used_memory_clients_reserved"), "0");
}

/// So are replies that wait for the disk with the writes before them.
#[test]
fn what_a_write_keeps_waiting_counts_as_memory_of_its_client() {
    let server = TestServer::with(|config| config.client_memory_limit = 16 << 20);
    let mut client = server.connect();
    client.call([&b"SET"[..], b"small", &vec![b'v'; 60_000]]);
    client.send(b"MULTI\r\nSET a 1\r\n");
    client.send(&request(["MGET"].into_iter().chain(["small"; 400])));
    client.send(b"EXEC\r\nGET a\r\n");
    let replies = client.replies(5);
    assert!(replies[3].error_text().contains("client_memory_limit"), "24 MB would wait");
    assert_eq!(replies[4], Wire::Nil, "refused as a whole");
    let reserved: u64 = info(&mut client, "used_memory_clients_reserved").parse().unwrap();
    assert!(reserved < 1 << 20, "what was taken back is given back: {reserved}");
}

/// What a server remembers of a client, or tells all others, is short.
#[test]
fn names_and_remembered_values_have_their_limits() {
    let server = TestServer::start();
    let mut client = server.connect();
    let (fits, long) = ("n".repeat(512), "n".repeat(513));
    for words in [&["CLIENT", "SETNAME"][..], &["CLIENT", "SETINFO", "LIB-NAME"]] {
        let with = |name: &str| -> Vec<String> {
            words.iter().copied().chain([name]).map(str::to_owned).collect()
        };
        assert_eq!(client.call(with(&fits)), Wire::ok());
        let refused = client.call(with(&long));
        assert!(refused.error_text().ends_with("cannot be longer than 512 bytes."), "{refused:?}");
    }
    let refused = client.call(["HELLO", "3", "SETNAME", &long]);
    assert!(refused.error_text().starts_with("ERR Client names cannot be longer"), "{refused:?}");
    assert_eq!(client.call(["CONFIG", "SET", "save", &fits]), Wire::ok());
    let refused = client.call(["CONFIG", "SET", "save", &fits.repeat(3)]);
    assert!(refused.error_text().contains("longer than 1024 bytes"), "{refused:?}");
    assert_eq!(client.call(["CONFIG", "GET", "save"]).items()[1], Wire::bulk(fits));
    for words in [["CONFIG", "SET", "durability"], ["CLIENT", "KILL", "USER"]] {
        let told = client.call(words.into_iter().chain([long.as_str()]));
        assert!(told.error_text().len() < 400, "{told:?}");
    }
}

#[test]
fn a_client_that_goes_away_in_the_middle_leaves_nothing_half_done() {
    let server = TestServer::start();
    for cut in [1, 10, 25, 36] {
        let bytes = request(["MSET", "a", "1", "b", "2"]);
        let mut client: Client = server.connect();
        client.send(&bytes[..cut]);
        drop(client);
    }
    let mut client = server.connect();
    wait_for(&mut client, "connected_clients", "1");
    assert_eq!(client.say("DBSIZE"), Wire::Integer(0));
}
