//! Text for people, JSON for programs.

use std::fmt::Display;
use std::io::{self, BufWriter, Stdout, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Where a command prints.
pub(crate) struct Output {
    json: bool,
    out: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Output {
        Output { json, out: BufWriter::new(io::stdout()) }
    }

    /// Prints `record` as one line of JSON, or what `text` makes of it.
    pub(crate) fn record<T: Serialize>(
        &mut self,
        record: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            return self.data(record);
        }
        // Spaces at the end may belong to a key or a value.
        writeln!(self.out, "{}", text(record).trim_end_matches('\n'))?;
        Ok(())
    }

    /// Prints a `record` that the exit code sums up: whoever wants no more than
    /// that need not read it.
    pub(crate) fn summed_up<T: Serialize>(
        &mut self,
        record: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match self.record(record, text) {
            Err(failure) if failure.is_reader_gone() => Ok(()),
            printed => printed,
        }
    }

    /// Prints `record` as one line of JSON, and nothing as text.
    pub(crate) fn data<T: Serialize>(&mut self, record: &T) -> Result<(), Failure> {
        if self.json {
            serde_json::to_writer(&mut self.out, record).map_err(io::Error::from)?;
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Writes out what is buffered; called once a command is done.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }

    /// Says on standard error what must be known beside the result.
    pub(crate) fn note(&mut self, line: &str) {
        if self.json {
            complain(serde_json::json!({ "note": line }));
        } else {
            complain(format_args!("kv: note: {line}"));
        }
    }

    /// Reports a failure on standard error.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        if failure.is_reader_gone() {
            return;
        }
        // What was found before the failure comes first.
        let _ = self.out.flush();
        if self.json {
            let message = failure.to_string();
            complain(serde_json::json!({ "error": failure.kind(), "message": message }));
        } else {
            complain(format_args!("kv: {failure}"));
        }
    }
}

/// Writes a line to standard error. If nobody takes it the exit code still tells.
fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
