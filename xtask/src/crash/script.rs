//! The short conversation whose system calls are made to fail one by one: it
//! passes through put, batch, delete, flush, compaction and close.

use std::io;

use super::linear::NEVER;
use super::oracle_log::OracleLog;
use super::request::{Answer, Event, Request, Verb};
use crate::failure::{Failure, Outcome};
use crate::resp::{Client, Reply};

/// One line.
#[derive(Debug, Clone, Copy)]
enum Line {
    Write(Verb, &'static [u64]),
    /// A command of the store's own; it may fail, in words.
    Maintain(&'static str),
}

const LINES: [Line; 17] = [
    Line::Write(Verb::Set, &[0]),
    Line::Write(Verb::Set, &[1]),
    Line::Write(Verb::Mset, &[2, 3, 4]),
    Line::Maintain("KV.FLUSH"),
    Line::Write(Verb::Set, &[0]),
    Line::Write(Verb::Exec, &[3, 5]),
    Line::Write(Verb::Del, &[1]),
    Line::Maintain("KV.FLUSH"),
    Line::Write(Verb::Get, &[4]),
    Line::Write(Verb::Set, &[6]),
    Line::Maintain("KV.FLUSH"),
    Line::Maintain("KV.COMPACT"),
    Line::Write(Verb::Get, &[3]),
    Line::Write(Verb::Mset, &[0, 6]),
    Line::Write(Verb::Del, &[2, 4]),
    Line::Write(Verb::Set, &[7]),
    Line::Write(Verb::Get, &[7]),
];

/// What was said, and the texts of all errors.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    pub(crate) events: Vec<Event>,
    pub(crate) errors: Vec<String>,
}

/// Plays the script until its end or until the server goes away; then asks it
/// to stop.
pub(crate) fn play(port: u16, log: &OracleLog) -> Outcome<Transcript> {
    let mut transcript = Transcript::default();
    // A server that goes away in the middle is what is tested.
    if let Ok(mut client) = Client::connect(port) {
        transcript.play(&mut client, log)?;
    }
    match transcript.events.last() {
        Some(Event { answer: Answer::None, .. }) => {}
        // The reply is the closed connection.
        _ => drop(Client::connect(port).and_then(|mut client| client.call(&[b"SHUTDOWN"]))),
    }
    Ok(transcript)
}

impl Transcript {
    fn play(&mut self, client: &mut Client, log: &OracleLog) -> Outcome {
        for (number, line) in LINES.into_iter().enumerate() {
            match line {
                Line::Write(verb, keys) => {
                    let reply = self.ask(client, log, verb, keys, number)?;
                    match self.take(reply, number, log)? {
                        true => {}
                        false => return Ok(()),
                    }
                }
                Line::Maintain(command) => match client.call(&[command.as_bytes()]) {
                    Ok(Reply::Error(text)) => self.errors.push(text),
                    Ok(_) => {}
                    Err(_) => return Ok(()),
                },
            }
        }
        Ok(())
    }

    fn ask(
        &mut self,
        client: &mut Client,
        log: &OracleLog,
        verb: Verb,
        keys: &[u64],
        number: usize,
    ) -> Outcome<io::Result<Answer>> {
        let keys = keys.iter().map(|key| format!("c0:r:{key}")).collect();
        let request = Request { verb, keys, number: number as i64 + 1 };
        request.queue(client);
        let event = Event {
            client: 0,
            request,
            invoked: moment_of(number),
            answered: NEVER,
            answer: Answer::None,
        };
        log.issued(std::slice::from_ref(&event))?;
        let reply = client.send().and_then(|()| event.request.receive(client));
        self.events.push(event);
        Ok(reply)
    }

    /// Enters the reply to the last request; false if the server went away.
    fn take(&mut self, reply: io::Result<Answer>, number: usize, log: &OracleLog) -> Outcome<bool> {
        let answer = match reply {
            Ok(answer) => answer,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(Failure::check(format!("a reply makes no sense: {error}")));
            }
            Err(_) => return Ok(false),
        };
        if let Answer::Refused(text) | Answer::Unclear(text) = &answer {
            self.errors.push(text.clone());
        }
        if let Some(event) = self.events.last_mut() {
            event.answer = answer;
            event.answered = moment_of(number) + 1;
            log.answered(event)?;
        }
        Ok(true)
    }
}

/// Lines follow each other, each with a moment for its reply.
fn moment_of(line: usize) -> u64 {
    line as u64 * 2
}
