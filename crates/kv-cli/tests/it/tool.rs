//! Runs the program and keeps what it says.

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A directory for a database, and the tool at work on it.
pub(crate) struct Tool {
    directory: TempDir,
}

/// What a run said, and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        Run {
            code: output.status.code().expect("the tool is not killed"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    /// The output of a run that must succeed and complain about nothing.
    pub(crate) fn done(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// What a run complained about that must fail with `code`.
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{}", self.err);
        self.err
    }

    /// The lines of the output, each an object.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kv"));
    command.stdin(Stdio::null());
    command
}

/// Runs the tool with these arguments alone.
pub(crate) fn kv(arguments: &[&str]) -> Run {
    command().args(arguments).output().unwrap().into()
}

impl Tool {
    pub(crate) fn new() -> Tool {
        Tool { directory: tempfile::tempdir().unwrap() }
    }

    /// Four fruits in a table, then a change and a removal in the log.
    pub(crate) fn with_fruit() -> Tool {
        let tool = Tool::new();
        for (key, value) in
            [("apple", "red"), ("banana", "yellow"), ("cherry", "dark"), ("date", "brown")]
        {
            tool.run(&["put", ".", key, value]).done();
        }
        tool.run(&["flush", "."]).done();
        tool.run(&["put", ".", "apple", "green"]).done();
        tool.run(&["del", ".", "cherry"]).done();
        tool
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs the tool in the directory of the database, which is `.` to it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        command().current_dir(self.path()).args(arguments).output().unwrap().into()
    }

    /// All that a run says, on both channels, in the order in which it does.
    pub(crate) fn said(&self, arguments: &[&str]) -> String {
        let mut both = tempfile::tempfile().unwrap();
        let (out, err) = (both.try_clone().unwrap(), both.try_clone().unwrap());
        let mut command = command();
        command.current_dir(self.path()).args(arguments).stdout(out).stderr(err);
        command.status().unwrap();
        let mut said = String::new();
        both.rewind().unwrap();
        both.read_to_string(&mut said).unwrap();
        said
    }

    /// The same as [`run`](Tool::run) with `--json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let run = self.run(&[&["--json"], arguments].concat());
        assert_eq!((run.code, run.err.as_str()), (0, ""));
        run.json()
    }

    /// The files whose names start and end like this, sorted.
    pub(crate) fn files(&self, start: &str, end: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(start) && name.ends_with(end)
        });
        paths.sort();
        paths
    }
}
