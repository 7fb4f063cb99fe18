//! One function for each command.

mod data;
mod dump;
mod inspect;
mod maintain;
mod repair;

use std::path::Path;

use kv_engine::{Engine, Options};

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
    output.finish()?;
    Ok(outcome)
}

/// Opens a database that must exist.
fn open(dir: &Path) -> Result<Engine, Failure> {
    let options = Options { create_if_missing: false, ..Options::default() };
    Ok(Engine::open(dir, options)?)
}
