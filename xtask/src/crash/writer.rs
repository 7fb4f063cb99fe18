//! One client of the load: which requests it sends, in bursts.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};

use super::linear::NEVER;
use super::oracle_log::OracleLog;
use super::random::Random;
use super::request::{Answer, Event, Request, Verb};
use crate::failure::{Failure, Outcome};
use crate::resp::Client;

/// Keys of one client that hold text, and that are counted up. Few, so that
/// every key is overwritten and deleted often.
const OWN_REGISTERS: u64 = 30;
const OWN_COUNTERS: u64 = 4;
/// Keys that all clients write and read.
const SHARED_REGISTERS: u64 = 4;
const SHARED_COUNTERS: u64 = 2;
/// The most keys of a batch.
const MAX_BATCH_KEYS: u64 = 5;
/// The most requests a client sends before it reads the replies.
const MAX_BURST: u64 = 4;

/// A client's account of what it has asked for.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) index: usize,
    clients: usize,
    random: Random,
    requests: i64,
    /// Everything sent in the present life of the server.
    pub(crate) events: Vec<Event>,
}

impl Writer {
    pub(crate) fn new(index: usize, clients: usize, random: &Random) -> Writer {
        let random = random.fork(index as u64 + 1);
        Writer { index, clients, random, requests: 0, events: Vec::new() }
    }

    /// All keys of all writers.
    pub(crate) fn all_keys(clients: usize) -> Vec<String> {
        let mut keys = Vec::new();
        for client in 0..clients {
            keys.extend((0..OWN_REGISTERS).map(|number| register(client, number)));
            keys.extend((0..OWN_COUNTERS).map(|number| counter(client, number)));
        }
        keys.extend((0..SHARED_REGISTERS).map(|number| format!("shared:r:{number}")));
        keys.extend((0..SHARED_COUNTERS).map(|number| format!("shared:n:{number}")));
        keys
    }

    /// True for a key that only client `index` writes.
    pub(crate) fn owns(index: usize, key: &str) -> bool {
        key.strip_prefix('c').and_then(|rest| rest.split(':').next()?.parse().ok()) == Some(index)
    }

    /// True for a key that all clients write.
    pub(crate) fn is_shared(key: &str) -> bool {
        key.starts_with("shared:")
    }

    /// Sends a burst and reads its replies; `None` if the server went away.
    /// The log entry of a request is made before it is sent, and its reply
    /// entered after it was read. A reply that makes no sense is a failure.
    pub(crate) fn burst(
        &mut self,
        client: &mut Client,
        clock: &AtomicU64,
        log: &OracleLog,
    ) -> Outcome<Option<&[Event]>> {
        let first = self.events.len();
        let invoked = clock.fetch_add(1, Ordering::SeqCst);
        for _ in 0..=self.random.below(MAX_BURST) {
            let request = self.next_request();
            request.queue(client);
            let answer = Answer::None;
            let client = self.index;
            self.events.push(Event { client, request, invoked, answered: NEVER, answer });
        }
        log.issued(&self.events[first..])?;
        if client.send().is_err() {
            return Ok(None);
        }
        for event in &mut self.events[first..] {
            event.answer = match event.request.receive(client) {
                Ok(answer) => answer,
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    return Err(Failure::check(format!("a reply makes no sense: {error}")));
                }
                // A server that has gone closes the connection.
                Err(error) if is_timeout(&error) => {
                    return Err(Failure::check(format!("no reply to {:?}", event.request)));
                }
                Err(_) => return Ok(None),
            };
            event.answered = clock.fetch_add(1, Ordering::SeqCst);
            log.answered(event)?;
        }
        Ok(Some(&self.events[first..]))
    }

    fn next_request(&mut self) -> Request {
        self.requests += 1;
        let number = self.requests * self.clients as i64 + self.index as i64;
        let own = self.index;
        let (verb, keys) = match self.random.below(100) {
            0..35 => (Verb::Set, vec![self.register()]),
            35..48 => (Verb::Mset, self.registers()),
            48..61 => {
                let mut keys = self.registers();
                keys.push(counter(own, self.random.below(OWN_COUNTERS)));
                (Verb::Exec, keys)
            }
            61..66 => (Verb::Del, vec![self.register()]),
            66..69 => (Verb::Del, self.registers()),
            69..76 => (Verb::Incr, vec![counter(own, self.random.below(OWN_COUNTERS))]),
            76..86 => (Verb::Set, vec![self.shared_register()]),
            86..88 => (Verb::Del, vec![self.shared_register()]),
            88..95 => (Verb::Get, vec![self.shared_register()]),
            _ => (Verb::Incr, vec![format!("shared:n:{}", self.random.below(SHARED_COUNTERS))]),
        };
        Request { verb, keys, number }
    }

    fn register(&mut self) -> String {
        register(self.index, self.random.below(OWN_REGISTERS))
    }

    fn shared_register(&mut self) -> String {
        format!("shared:r:{}", self.random.below(SHARED_REGISTERS))
    }

    /// Some neighbouring keys, none twice.
    fn registers(&mut self) -> Vec<String> {
        let first = self.random.below(OWN_REGISTERS);
        let count = 2 + self.random.below(MAX_BATCH_KEYS - 1);
        (0..count).map(|step| register(self.index, (first + step) % OWN_REGISTERS)).collect()
    }
}

/// True if the time for a reply was over.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn register(client: usize, number: u64) -> String {
    format!("c{client}:r:{number}")
}

fn counter(client: usize, number: u64) -> String {
    format!("c{client}:n:{number}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Writer;
    use crate::crash::random::Random;

    #[test]
    fn requests_use_known_keys_once_and_numbers_once() {
        let keys: BTreeSet<String> = Writer::all_keys(2).into_iter().collect();
        let mut numbers = BTreeSet::new();
        for index in 0..2 {
            let mut writer = Writer::new(index, 2, &Random::new(5));
            for _ in 0..1000 {
                let request = writer.next_request();
                let distinct: BTreeSet<&String> = request.keys.iter().collect();
                assert_eq!(distinct.len(), request.keys.len(), "{request:?}");
                assert!(request.keys.iter().all(|key| keys.contains(key)), "{request:?}");
                let is_own = |key: &String| Writer::owns(index, key) || Writer::is_shared(key);
                assert!(request.keys.iter().all(is_own), "{request:?}");
                assert!(numbers.insert(request.number), "{request:?}");
            }
        }
    }
}
