//! Requests of the load, how they are sent, and what their replies say.

use std::io;

use super::linear::{Action, NEVER, State};
use super::value::{is_counter, state_of, value_of};
use crate::resp::{Client, Reply};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Set,
    /// All keys in one command: whole or absent.
    Mset,
    /// MULTI … EXEC of SETs and INCRs: whole or absent.
    Exec,
    Del,
    Incr,
    Get,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) verb: Verb,
    /// None twice.
    pub(crate) keys: Vec<String>,
    /// The number its values carry; no other request has it.
    pub(crate) number: i64,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Acknowledged; for each key what the reply says of it.
    Done(Vec<Action>),
    /// An error after which nothing was written.
    Refused(String),
    /// An error that leaves open whether it was written.
    Unclear(String),
    /// No reply, or one that came too late to count.
    None,
}

/// A request with its moments: one line of the oracle's log.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) client: usize,
    pub(crate) request: Request,
    /// Moment before it was sent, on the clock that all clients share.
    pub(crate) invoked: u64,
    /// Moment after the reply was read, or [`NEVER`].
    pub(crate) answered: u64,
    pub(crate) answer: Answer,
}

impl Request {
    /// What it does to one of its keys, as far as the request alone tells.
    pub(crate) fn action_on(&self, key: &str) -> Action {
        match self.verb {
            Verb::Set | Verb::Mset => Action::Write(Some(self.number)),
            Verb::Exec if !is_counter(key) => Action::Write(Some(self.number)),
            Verb::Exec | Verb::Incr => Action::Increment(None),
            Verb::Del => Action::Delete(None),
            // Changes nothing, so what it would have seen does not matter.
            Verb::Get => Action::Read(None),
        }
    }

    /// Adds it to what the client sends next.
    pub(crate) fn queue(&self, client: &mut Client) {
        let values: Vec<Vec<u8>> = self.keys.iter().map(|key| value_of(key, self.number)).collect();
        let pairs = || self.keys.iter().map(String::as_bytes).zip(values.iter().map(Vec::as_slice));
        match self.verb {
            Verb::Set | Verb::Mset => {
                let word: &[u8] = if self.verb == Verb::Set { b"SET" } else { b"MSET" };
                let mut parts = vec![word];
                parts.extend(pairs().flat_map(|(key, value)| [key, value]));
                client.queue(&parts);
            }
            Verb::Exec => {
                client.queue(&[b"MULTI"]);
                for (key, value) in pairs() {
                    match is_counter(&String::from_utf8_lossy(key)) {
                        true => client.queue(&[b"INCR", key]),
                        false => client.queue(&[b"SET", key, value]),
                    }
                }
                client.queue(&[b"EXEC"]);
            }
            Verb::Del | Verb::Incr | Verb::Get => {
                let word: &[u8] = match self.verb {
                    Verb::Del => b"DEL",
                    Verb::Incr => b"INCR",
                    _ => b"GET",
                };
                let mut parts = vec![word];
                parts.extend(self.keys.iter().map(String::as_bytes));
                client.queue(&parts);
            }
        }
    }

    /// Reads its reply, or all of its replies.
    pub(crate) fn receive(&self, client: &mut Client) -> io::Result<Answer> {
        if self.verb == Verb::Exec {
            for _ in 0..=self.keys.len() {
                // MULTI and QUEUED; trouble shows in the reply to EXEC.
                client.receive()?;
            }
        }
        let reply = client.receive()?;
        if let Reply::Error(text) = &reply {
            return Ok(classify(text));
        }
        let seen = self.read(&reply);
        seen.map(Answer::Done).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{self:?} answered {reply:?}"))
        })
    }

    /// What a reply says of each key; `None` for a reply that fits no such
    /// request, or that carries a value nobody wrote.
    fn read(&self, reply: &Reply) -> Option<Vec<Action>> {
        let plain = || self.keys.iter().map(|key| self.action_on(key)).collect();
        match (self.verb, reply) {
            (Verb::Set | Verb::Mset, reply) => reply.is_ok().then(plain),
            (Verb::Exec, Reply::Array(items)) if items.len() == self.keys.len() => {
                let each = self.keys.iter().zip(items).map(|(key, item)| match item {
                    Reply::Integer(number) => Some(Action::Increment(Some(*number))),
                    item => item.is_ok().then(|| self.action_on(key)),
                });
                each.collect()
            }
            (Verb::Incr, Reply::Integer(number)) => Some(vec![Action::Increment(Some(*number))]),
            (Verb::Del, Reply::Integer(count)) if self.keys.len() == 1 => {
                Some(vec![Action::Delete(Some(*count == 1))])
            }
            (Verb::Del, Reply::Integer(_)) => Some(plain()),
            (Verb::Get, Reply::Bulk(bytes)) => {
                let state: State = state_of(&self.keys[0], Some(bytes)).ok()?;
                Some(vec![Action::Read(state)])
            }
            (Verb::Get, Reply::Nil) => Some(vec![Action::Read(None)]),
            _ => None,
        }
    }
}

/// What an error reply leaves open: of any trouble but a refusal we know nothing
/// until the next open.
fn classify(text: &str) -> Answer {
    match is_refusal(text) {
        true => Answer::Refused(text.to_owned()),
        false => Answer::Unclear(text.to_owned()),
    }
}

/// True for the refusal of a write of which nothing was written, by a full disk or
/// an engine with too much unfinished work. Both pass.
pub(crate) fn is_refusal(text: &str) -> bool {
    text.starts_with("BUSY ") || is_no_space(text)
}

/// True for the refusal of a write because the disk is full, from which the
/// engine recovers by itself.
pub(crate) fn is_no_space(text: &str) -> bool {
    text.to_ascii_lowercase().contains("no space") && !text.contains("unknown")
}

impl Event {
    /// True if its reply was a yes.
    pub(crate) fn is_acknowledged(&self) -> bool {
        matches!(self.answer, Answer::Done(_))
    }

    /// The error that it was answered by.
    pub(crate) fn error(&self) -> Option<&str> {
        match &self.answer {
            Answer::Refused(text) | Answer::Unclear(text) => Some(text),
            Answer::Done(_) | Answer::None => None,
        }
    }

    /// Forgets replies that came after `moment`: what was acknowledged while
    /// the power was failing was never promised.
    pub(crate) fn forget_after(&mut self, moment: u64) {
        if self.answered > moment {
            self.answered = NEVER;
            self.answer = Answer::None;
        }
    }
}
