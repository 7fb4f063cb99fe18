//! Expiry under clocks that jump.

use std::time::Duration;

use kv_env::SimDisk;

use crate::client::{TestServer, wait_for_counter};
use crate::wire::Wire;

const START_MS: u64 = 1_704_067_200_000;

#[test]
fn a_clock_that_is_set_back_brings_no_key_back_and_keeps_none_for_ever() {
    let disk = SimDisk::new(1);
    let clock = disk.clock();
    let server = TestServer::simulated(disk.env(), |_| {});
    let mut client = server.connect();
    client.say("SET short 1 PX 1000");
    client.say("SET long 1 EX 3600");
    clock.advance(Duration::from_millis(1001));
    assert_eq!(client.say("GET short"), Wire::Nil);
    for wall_ms in [START_MS - 86_400_000, 0] {
        clock.set_wall_ms(wall_ms);
        assert_eq!(client.say("GET short"), Wire::Nil, "it does not come back");
        let left = client.say("PTTL long").integer();
        assert_eq!(left, 3_600_000 - 1001, "time has not passed, nor has it come back");
    }
    // A key of the time behind the jump lives as long as it was told.
    client.say("SET new 1 PX 1000");
    clock.advance(Duration::from_millis(999));
    assert_eq!(client.say("GET new"), Wire::bulk("1"));
    clock.advance(Duration::from_millis(2));
    assert_eq!(client.say("GET new"), Wire::Nil);
    // A stuck clock expires nothing.
    client.say("SET stuck 1 PX 1");
    for _ in 0..100 {
        assert_eq!(client.say("GET stuck"), Wire::bulk("1"));
    }
    // Forwards there is no telling it from time that has passed.
    clock.set_wall_ms(START_MS + 4_000_000);
    assert_eq!(client.say("GET long"), Wire::Nil);
    assert_eq!(client.say("DBSIZE"), Wire::Integer(0));
}

/// Timeouts of clients and the order of writes do not ask the wall clock.
#[test]
fn a_clock_that_jumps_times_nobody_out() {
    let disk = SimDisk::new(2);
    let clock = disk.clock();
    let server = TestServer::simulated(disk.env(), |config| config.idle_timeout_s = 300);
    let (mut client, mut silent) = (server.connect(), server.connect());
    silent.say("PING");
    for (number, wall_ms) in [u64::MAX, 0, START_MS * 3, 1, START_MS].into_iter().enumerate() {
        clock.set_wall_ms(wall_ms);
        assert_eq!(client.say(&format!("SET key {number}")), Wire::ok());
        assert_eq!(client.say("GET key"), Wire::bulk(number.to_string()), "the last one wins");
    }
    assert_eq!(silent.say("PING"), Wire::Simple("PONG".to_owned()), "still connected");
    client.say("CONFIG SET idle_timeout_s 0");
    let mut patient = server.connect();
    patient.say("PING");
    client.say("CONFIG SET idle_timeout_s 300");
    clock.advance(Duration::from_secs(299));
    client.say("PING");
    silent.say("PING");
    clock.advance(Duration::from_secs(2));
    // Only the one who has been silent for 301 seconds of the monotonic clock.
    wait_for_counter(&mut client, "total_client_timeouts", 1);
    assert_eq!(patient.replies_until_closed(), []);
    assert_eq!(silent.say("PING"), Wire::Simple("PONG".to_owned()));
}
