//! What was asked of the servers and what they answered, line by line in a
//! file, as it happens: it outlives the servers, lies outside the file systems
//! that are hurt, and is there even if this process is killed.
//!
//! ```text
//! # what happens to the database
//! > client invoked verb number keys
//! < client number answered answer
//! ```
#![allow(clippy::disallowed_methods, reason = "a tool writes its own log")]

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use super::request::Event;
use crate::failure::{Context, Outcome};

/// Name of the log in its scratch directory.
pub(crate) const FILE_NAME: &str = "oracle.log";

/// The log; each call is one append, so threads need no lock.
#[derive(Debug)]
pub(crate) struct OracleLog {
    file: File,
}

impl OracleLog {
    /// The log in `directory`, which must not be on a disk under test.
    pub(crate) fn open(directory: &Path) -> Outcome<OracleLog> {
        let path = directory.join(FILE_NAME);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        Ok(OracleLog { file: file.context(path.display())? })
    }

    /// Requests that are about to be sent.
    pub(crate) fn issued(&self, events: &[Event]) -> Outcome {
        let mut text = String::new();
        for Event { client, request, invoked, .. } in events {
            let keys = request.keys.join(" ");
            // Writing to memory cannot fail.
            let _ =
                writeln!(text, "> {client} {invoked} {:?} {} {keys}", request.verb, request.number);
        }
        self.append(&text)
    }

    /// A reply that was read.
    pub(crate) fn answered(&self, event: &Event) -> Outcome {
        let Event { client, request, answered, answer, .. } = event;
        self.append(&format!("< {client} {} {answered} {answer:?}\n", request.number))
    }

    /// Something that happens to the database.
    pub(crate) fn note(&self, text: &str) -> Outcome {
        self.append(&format!("# {}\n", text.replace('\n', " ")))
    }

    fn append(&self, lines: &str) -> Outcome {
        (&self.file).write_all(lines.as_bytes()).context("cannot write the oracle's log")
    }
}

#[cfg(test)]
mod tests {
    use super::{FILE_NAME, OracleLog};
    use crate::crash::linear::NEVER;
    use crate::crash::request::{Answer, Event, Request, Verb};

    #[test]
    fn lines_are_in_the_file_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let log = OracleLog::open(directory.path()).unwrap();
        let keys = vec!["a".to_owned(), "b".to_owned()];
        let request = Request { verb: Verb::Mset, keys, number: 9 };
        let mut event =
            Event { client: 2, request, invoked: 5, answered: NEVER, answer: Answer::None };
        let text = || std::fs::read_to_string(directory.path().join(FILE_NAME)).unwrap();
        log.note("life").unwrap();
        log.issued(std::slice::from_ref(&event)).unwrap();
        assert_eq!(text(), "# life\n> 2 5 Mset 9 a b\n");
        event.answered = 6;
        event.answer = Answer::Refused("BUSY".into());
        log.answered(&event).unwrap();
        let again = OracleLog::open(directory.path()).unwrap();
        again.note("restart").unwrap();
        assert!(text().ends_with("a b\n< 2 9 6 Refused(\"BUSY\")\n# restart\n"), "{}", text());
    }
}
