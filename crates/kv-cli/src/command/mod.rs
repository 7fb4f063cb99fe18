//! One function for each command.

mod data;
mod dump;
mod inspect;
mod maintain;
mod repair;

use std::io;
use std::path::Path;

use kv_engine::{Engine, Error, FlushSize, Options};
use kv_env::{Env, RealOptions};

use crate::arguments::Command;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Carries out `command`.
pub(crate) fn run(command: &Command, output: &mut Output) -> Result<Outcome, Failure> {
    let outcome = match command {
        Command::Get { dir, key } => data::get(dir, key, output),
        Command::Put { dir, key, value } => data::put(dir, key, value, output),
        Command::Del { dir, key } => data::delete(dir, key, output),
        Command::Scan(arguments) => data::scan(arguments, output),
        Command::Stats { dir } => inspect::stats(dir, output),
        Command::Levels { dir } => inspect::levels(dir, output),
        Command::Verify { dir, deep } => inspect::verify(dir, *deep, output),
        Command::Repair { dir, to, keep } => repair::repair(dir, to, *keep, output),
        Command::DumpWal { path } => dump::wal(path, output),
        Command::DumpTable { file, properties } => dump::table(file, *properties, output),
        Command::DumpManifest { path } => dump::manifest(path, output),
        Command::Compact { dir } => maintain::compact(dir, output),
        Command::Flush { dir } => maintain::flush(dir, output),
    }?;
    match output.finish() {
        // What the command has found out is so, read or not.
        Err(failure) if failure.is_reader_gone() => Ok(outcome),
        finished => finished.map(|()| outcome),
    }
}

/// Opens a directory to read its files. One that cannot be written, for the
/// device fails say, is read all the same.
fn open_to_read(dir: &Path) -> Result<Env, Error> {
    match Env::real(dir, false) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            Env::real_with(dir, RealOptions { read_only: true, ..RealOptions::default() })
        }
        opened => opened,
    }
}

/// Opens a database that must exist.
fn open(dir: &Path) -> Result<Engine, Failure> {
    let options = Options { create_if_missing: false, ..options(dir) };
    Ok(Engine::open(dir, options)?)
}

/// Tells what opening the database has cut off or found to be damaged: a command
/// that is asked for something else must not do that in silence.
fn note_findings(engine: &Engine, output: &mut Output) {
    for line in engine.recovery_report().findings() {
        output.note(&line);
    }
}

/// Options for one command: room in memory for what the log holds, and hardly
/// more, so that no large segment is filled with zeros for a single read.
fn options(dir: &Path) -> Options {
    const LEAST_BYTES: u64 = 1 << 20;
    const MOST_BYTES: u64 = 64 << 20;
    // What cannot be looked at, the open itself complains about.
    let read_only = RealOptions { read_only: true, ..RealOptions::default() };
    let files = Env::real_with(dir, read_only).and_then(|env| env.fs.list()).unwrap_or_default();
    let log_bytes: u64 =
        files.iter().filter(|file| file.name.starts_with("wal")).map(|file| file.len).sum();
    // A write takes more room in memory than in the log, a small one four
    // times as much.
    let bytes = log_bytes.saturating_mul(4).clamp(LEAST_BYTES, MOST_BYTES);
    // A command is over before a scrub has seen anything.
    Options {
        memtable_flush_size: FlushSize::Bytes(bytes),
        scrub_bytes_per_second: 0,
        ..Options::default()
    }
}
