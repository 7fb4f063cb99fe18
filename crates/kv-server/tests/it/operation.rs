//! What an operator sees and sets: INFO, CONFIG, CLIENT, HELLO.

use crate::client::{TestServer, info};
use crate::wire::{Wire, request};

#[test]
fn info_has_what_clients_and_monitoring_look_for() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.say("SET a 1 EX 100");
    client.say("SET b 1");
    client.say("NONSENSE");
    assert_eq!(info(&mut client, "redis_version"), "7.0.15");
    assert_eq!(info(&mut client, "arch_bits"), "64");
    assert_eq!(info(&mut client, "cluster_enabled"), "0");
    assert_eq!(info(&mut client, "connected_clients"), "1");
    assert_eq!(info(&mut client, "tcp_port"), server.address().port().to_string());
    assert_eq!(info(&mut client, "db0"), "keys=2,expires=1,avg_ttl=0");
    assert_eq!(info(&mut client, "total_error_replies"), "1");
    assert_eq!(info(&mut client, "writes"), "2");
    assert_eq!(info(&mut client, "durability"), "os");
    assert_ne!(info(&mut client, "used_memory_rss"), "0");
    client.say("CONFIG RESETSTAT");
    assert_eq!(info(&mut client, "total_error_replies"), "0");
}

/// The second of two names of one parameter is refused.
#[track_caller]
fn check_duplicate(refused: &Wire, name: &str) {
    let expected = format!(
        "ERR CONFIG SET failed (possibly related to argument '{name}') - duplicate parameter"
    );
    assert_eq!(refused.error_text(), expected);
}

#[test]
fn settings_change_while_running() {
    let server = TestServer::start();
    let mut client = server.connect();
    let get = |client: &mut crate::client::Client, name: &str| {
        client.call(["CONFIG", "GET", name]).items().get(1).map(Wire::text)
    };
    assert_eq!(get(&mut client, "maxclients").as_deref(), Some("10000"));
    assert_eq!(client.say("CONFIG SET maxclients 20 idle_timeout_s 5"), Wire::ok());
    assert_eq!(get(&mut client, "max_clients").as_deref(), Some("20"));
    assert_eq!(get(&mut client, "timeout").as_deref(), Some("5"));
    assert_eq!(get(&mut client, "appendfsync").as_deref(), Some("no"));
    assert_eq!(client.say("CONFIG SET appendfsync always"), Wire::ok());
    assert_eq!(get(&mut client, "durability").as_deref(), Some("sync"));
    assert_eq!(client.say("CONFIG SET list-max-listpack-size 7"), Wire::ok());
    assert_eq!(get(&mut client, "list-max-listpack-size").as_deref(), Some("7"));
    assert_eq!(get(&mut client, "save").as_deref(), Some(""));
    assert_eq!(get(&mut client, "no-such-parameter"), None);

    // All or none.
    let refused = client.say("CONFIG SET maxclients 30 idle_timeout_s never");
    assert!(refused.error_text().starts_with("ERR "), "{refused:?}");
    assert_eq!(get(&mut client, "maxclients").as_deref(), Some("20"));
    let refused = client.say("CONFIG SET durability sync appendfsync no");
    check_duplicate(&refused, "appendfsync");
    let refused = client.say("CONFIG SET timeout 1 save x idle_timeout_s 2");
    check_duplicate(&refused, "idle_timeout_s");
    assert_eq!(get(&mut client, "timeout").as_deref(), Some("5"));
    assert_eq!(get(&mut client, "save").as_deref(), Some(""));
    for path in ["data_dir elsewhere", "dir /etc", "password_file /etc/passwd"] {
        let refused = client.say(&format!("CONFIG SET {path}"));
        assert!(refused.error_text().contains("restart"), "{refused:?}");
    }
    assert!(client.say("CONFIG SET nonsense 1").error_text().contains("nonsense"));
}

#[test]
fn a_password_set_while_running_holds_for_new_connections() {
    let server = TestServer::start();
    let mut first = server.connect();
    assert_eq!(first.say("CONFIG SET requirepass secret"), Wire::ok());
    let shown = first.say("CONFIG GET requirepass").items()[1].text();
    assert!(!shown.contains("secret"));
    let mut second = server.connect();
    assert_eq!(second.say("GET a").error_text(), "NOAUTH Authentication required.");
    assert!(second.say("AUTH wrong").error_text().starts_with("WRONGPASS"));
    assert_eq!(info(&mut first, "total_auth_failures"), "1");
    assert_eq!(second.say("AUTH secret"), Wire::ok());
    assert_eq!(second.say("GET a"), Wire::Nil);
}

/// Else it would be another password, which nobody has chosen.
#[test]
fn a_password_that_is_no_text_is_refused() {
    let server = TestServer::start();
    let mut client = server.connect();
    let refused = client.call([&b"CONFIG"[..], b"SET", b"requirepass", b"secret\xff"]);
    assert!(refused.error_text().ends_with("the value is not UTF-8 text"), "{refused:?}");
    assert_eq!(server.connect().say("PING"), Wire::Simple("PONG".to_owned()));
}

/// Two administrators at once: neither takes back what the other one has set.
#[test]
fn settings_that_change_at_once_are_all_kept() {
    let server = TestServer::start();
    let set_and_look = |key: &str| {
        let mut client = server.connect();
        for _ in 0..20 {
            let values = (1_000..1_500).map(|value: u32| value.to_string());
            let set_and_get = |value: String| {
                let set = request(["CONFIG", "SET", key, &value]);
                [set, request(["CONFIG", "GET", key])].concat()
            };
            client.send(&values.clone().flat_map(set_and_get).collect::<Vec<u8>>());
            for value in values {
                assert_eq!(client.reply(), Wire::ok());
                assert_eq!(client.reply().items()[1], Wire::bulk(value));
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| set_and_look("idle_timeout_s"));
        set_and_look("request_timeout_s");
    });
}

#[test]
fn clients_are_listed_and_closed() {
    let server = TestServer::start();
    let mut client = server.connect();
    let mut other = server.connect();
    client.say("CLIENT SETNAME me");
    other.say("SELECT 2");
    let list = client.say("CLIENT LIST").text();
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(list.lines().next().unwrap().contains(" name=me "), "{list}");
    assert!(list.lines().nth(1).unwrap().contains(" db=2 "), "{list}");
    assert!(list.lines().nth(1).unwrap().contains(" cmd=select "), "{list}");
    let id = other.say("CLIENT ID").integer().to_string();
    assert_eq!(client.call(["CLIENT", "KILL", "ID", &id]), Wire::Integer(1));
    assert_eq!(other.replies_until_closed(), []);
}

#[test]
fn hello_switches_the_protocol() {
    let server = TestServer::start();
    let mut client = server.connect();
    assert_eq!(client.say("GET none"), Wire::Nil);
    assert!(matches!(client.say("HELLO"), Wire::Array(_)));
    let hello = client.say("HELLO 3");
    let Wire::Map(pairs) = &hello else { panic!("{hello:?}") };
    assert!(pairs.contains(&(Wire::bulk("proto"), Wire::Integer(3))), "{hello:?}");
    client.send(b"MULTI\r\nGET none\r\nEXEC\r\n");
    let queued = Wire::Simple("QUEUED".to_owned());
    assert_eq!(client.replies(3), [Wire::ok(), queued, Wire::Array(vec![Wire::Nil])]);
    assert!(matches!(client.say("CONFIG GET save"), Wire::Map(_)));
    assert!(matches!(client.say("INFO server"), Wire::Verbatim(_)));
    assert!(matches!(client.say("HELLO 2"), Wire::Array(_)));
}

#[test]
fn quit_answers_and_closes() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.send(b"SET a 1\r\nQUIT\r\nSET a 2\r\n");
    assert_eq!(client.replies_until_closed(), [Wire::ok(), Wire::ok()]);
    assert_eq!(server.connect().say("GET a"), Wire::bulk("1"));
}
