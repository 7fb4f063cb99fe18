//! What the server must hold, over all its lives: the worlds of each client's
//! own keys, and the histories of the shared ones.
//!
//! The requests and replies of the present life are kept in this process,
//! which outlives every server; those of all lives are in the file that
//! `oracle_log` writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::linear::{Action, NEVER, Operation, State, possible_ends};
use super::request::{Answer, Event, Request, Verb};
use super::value::state_of;
use super::worlds::{World, Worlds};
use super::writer::Writer;
use crate::failure::{Context, Failure, Outcome};
use crate::resp::{Client, Reply};

/// Keys asked for in one MGET.
const KEYS_PER_REQUEST: usize = 32;

/// The judge of one database.
pub(crate) struct Oracle {
    keys: Vec<String>,
    own: Vec<Worlds>,
    shared: BTreeMap<String, BTreeSet<State>>,
    /// The requests since the last restart, for the report of a violation.
    log: Vec<Event>,
    pub(crate) counts: Counts,
}

/// What an oracle says of a server that answered all its questions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) enum Verdict {
    /// It holds what it may hold.
    Holds,
    /// Something that was acknowledged is missing or damaged; in words.
    Lost(String),
}

impl Verdict {
    /// A loss as a failure.
    pub(crate) fn into_outcome(self) -> Outcome {
        match self {
            Verdict::Holds => Ok(()),
            Verdict::Lost(sentence) => Err(Failure::check(sentence)),
        }
    }
}

/// How much was checked.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Acknowledged requests.
    pub(crate) acknowledged: u64,
    /// Keys read back and held against the oracle.
    pub(crate) keys_read: u64,
    /// Histories of one key over one life that were searched.
    pub(crate) histories: u64,
}

impl Counts {
    /// Adds those of another database.
    pub(crate) fn add(&mut self, other: Counts) {
        self.acknowledged += other.acknowledged;
        self.keys_read += other.keys_read;
        self.histories += other.histories;
    }
}

impl Oracle {
    pub(crate) fn new(clients: usize) -> Oracle {
        let keys = Writer::all_keys(clients);
        let shared = keys.iter().filter(|key| Writer::is_shared(key));
        let shared = shared.map(|key| (key.clone(), BTreeSet::from([None]))).collect();
        let own = vec![Worlds::new(); clients];
        Oracle { keys, own, shared, log: Vec::new(), counts: Counts::default() }
    }

    /// Takes what the writers did in a life of the server that is over; fails
    /// where the replies contradict each other.
    pub(crate) fn advance(&mut self, writers: &mut [Writer]) -> Outcome {
        self.advance_log(writers.iter_mut().flat_map(|writer| writer.events.drain(..)).collect())
    }

    /// The same with the requests of all clients, those of each in order.
    pub(crate) fn advance_log(&mut self, log: Vec<Event>) -> Outcome {
        self.log = log;
        self.log.sort_by_key(|event| event.invoked);
        let is_counted = |event: &&Event| event.is_acknowledged() && event.client < self.own.len();
        let done = self.log.iter().filter(is_counted).count();
        self.counts.acknowledged += done as u64;
        for (index, worlds) in self.own.iter_mut().enumerate() {
            // Its requests, and reads of its keys by those who only observe.
            let observes = |event: &&Event| {
                event.request.keys.iter().all(|key| Writer::owns(index, key))
                    && event.request.verb == Verb::Get
            };
            let events = self.log.iter().filter(|event| event.client == index || observes(event));
            worlds.advance(events, |key| Writer::owns(index, key)).map_err(Failure::check)?;
        }
        for (key, states) in &mut self.shared {
            let history = history_of(key, &self.log);
            let ends = possible_ends(states, &history);
            if ends.is_empty() {
                return Err(Failure::check(format!(
                    "the history of {key}, from {states:?}, is not linearizable"
                )));
            }
            *states = ends;
            self.counts.histories += 1;
        }
        Ok(())
    }

    /// Reads every key and says whether it holds what may be there. Fails
    /// where the server does not let itself be read.
    pub(crate) fn judge(&mut self, client: &mut Client) -> Outcome<Verdict> {
        let found = match self.read_back(client)? {
            Ok(found) => found,
            Err(sentence) => return Ok(Verdict::Lost(sentence)),
        };
        self.counts.keys_read += found.len() as u64;
        Ok(match self.confirm_found(&found) {
            Ok(()) => Verdict::Holds,
            Err(sentence) => Verdict::Lost(sentence),
        })
    }

    /// Reads every key at a moment: one event each, of the client `observer`.
    pub(crate) fn observe(
        &mut self,
        client: &mut Client,
        observer: usize,
        moment: u64,
    ) -> Outcome<Vec<Event>> {
        let found = self.read_back(client)?.map_err(Failure::check)?;
        self.counts.keys_read += found.len() as u64;
        let events = found.into_iter().map(|(key, seen)| Event {
            client: observer,
            request: Request { verb: Verb::Get, keys: vec![key], number: 0 },
            invoked: moment,
            answered: moment + 1,
            answer: Answer::Done(vec![Action::Read(seen)]),
        });
        Ok(events.collect())
    }

    fn confirm_found(&mut self, found: &World) -> Result<(), String> {
        for (index, worlds) in self.own.iter_mut().enumerate() {
            let own = found.iter().filter(|(key, _)| Writer::owns(index, key));
            let own: World = own.map(|(key, state)| (key.clone(), *state)).collect();
            worlds.confirm(&own)?;
        }
        for (key, states) in &mut self.shared {
            let seen = found.get(key).copied().flatten();
            if !states.contains(&seen) {
                return Err(format!("{key} holds {seen:?}, legal is one of {states:?}"));
            }
            *states = BTreeSet::from([seen]);
        }
        Ok(())
    }

    /// What every key holds, or a sentence on one that holds what was never
    /// written.
    fn read_back(&self, client: &mut Client) -> Outcome<Result<World, String>> {
        let mut found = World::new();
        for keys in self.keys.chunks(KEYS_PER_REQUEST) {
            let mut parts: Vec<&[u8]> = vec![b"MGET"];
            parts.extend(keys.iter().map(String::as_bytes));
            let reply = client.call(&parts).context("cannot read back")?;
            let Reply::Array(items) = reply else {
                return Err(Failure::check(format!("MGET answered {reply:?}")));
            };
            for (key, item) in keys.iter().zip(items) {
                let state = match item {
                    Reply::Bulk(bytes) => state_of(key, Some(&bytes)),
                    Reply::Nil => Ok(None),
                    other => {
                        let sentence = format!("MGET answered {other:?} for {key}");
                        return Err(Failure::check(sentence));
                    }
                };
                match state {
                    Ok(state) => found.insert(key.clone(), state),
                    Err(sentence) => return Ok(Err(sentence)),
                };
            }
        }
        Ok(Ok(found))
    }

    /// The requests and replies of the last life, one a line.
    pub(crate) fn log_text(&self) -> String {
        let mut text = String::from("client invoked answered request answer\n");
        for event in &self.log {
            let Event { client, request, invoked, answered, answer } = event;
            // Writing to memory cannot fail.
            let _ = writeln!(
                text,
                "{client} {invoked} {answered} {:?} {} {:?} {answer:?}",
                request.verb, request.number, request.keys
            );
        }
        text
    }
}

/// The operations on one key. What was answered by an error of unknown outcome
/// may still come true at the next open, whatever its client did meanwhile: it
/// counts as the operation of a client of its own.
fn history_of(key: &str, log: &[Event]) -> Vec<Operation> {
    let mut history = Vec::new();
    let mut next_client = log.iter().map(|event| event.client + 1).max().unwrap_or(0);
    for event in log {
        let Some(at) = event.request.keys.iter().position(|other| other == key) else { continue };
        let (action, answered): (Action, u64) = match &event.answer {
            Answer::Done(actions) => (actions[at], event.answered),
            Answer::Refused(_) => continue,
            // A read that was not answered tells nothing.
            _ if event.request.verb == Verb::Get => continue,
            _ => (event.request.action_on(key), NEVER),
        };
        let Event { mut client, invoked, .. } = *event;
        if let Answer::Unclear(_) = event.answer {
            client = next_client;
            next_client += 1;
        }
        history.push(Operation { client, action, invoked, answered });
    }
    history
}
