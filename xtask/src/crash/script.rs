//! The short conversation whose system calls are made to fail one by one: it
//! passes through put, batch, delete, flush, compaction and close.

use std::io;

use super::linear::NEVER;
use super::request::{Answer, Event, Request, Verb};
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
pub(crate) fn play(port: u16) -> io::Result<Transcript> {
    let mut transcript = Transcript::default();
    // A server that goes away in the middle is what is tested.
    let _ = Client::connect(port).and_then(|mut client| transcript.play(&mut client));
    match transcript.events.last() {
        Some(Event { answer: Answer::None, .. }) => {}
        // The reply is the closed connection.
        _ => drop(Client::connect(port).and_then(|mut client| client.call(&[b"SHUTDOWN"]))),
    }
    Ok(transcript)
}

impl Transcript {
    fn play(&mut self, client: &mut Client) -> io::Result<()> {
        for (number, line) in LINES.into_iter().enumerate() {
            match line {
                Line::Write(verb, keys) => self.ask(client, verb, keys, number)?,
                Line::Maintain(command) => {
                    if let Reply::Error(text) = client.call(&[command.as_bytes()])? {
                        self.errors.push(text);
                    }
                }
            }
        }
        Ok(())
    }

    fn ask(
        &mut self,
        client: &mut Client,
        verb: Verb,
        keys: &[u64],
        number: usize,
    ) -> io::Result<()> {
        let keys = keys.iter().map(|key| format!("c0:r:{key}")).collect();
        let request = Request { verb, keys, number: number as i64 + 1 };
        let moment = number as u64 * 2;
        request.queue(client);
        self.events.push(Event {
            client: 0,
            request: request.clone(),
            invoked: moment,
            answered: NEVER,
            answer: Answer::None,
        });
        client.send()?;
        let answer = request.receive(client)?;
        if let Answer::Refused(text) | Answer::Unclear(text) = &answer {
            self.errors.push(text.clone());
        }
        if let Some(event) = self.events.last_mut() {
            event.answer = answer;
            event.answered = moment + 1;
        }
        Ok(())
    }
}
