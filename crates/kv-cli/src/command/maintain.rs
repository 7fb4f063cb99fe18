//! Work that operators ask for.

use std::path::Path;

use kv_engine::{Engine, LevelStats};
use serde::Serialize;

use crate::command::{note_findings, open};
use crate::failure::{Failure, Outcome};
use crate::output::Output;

#[derive(Serialize)]
struct Shape {
    levels: Vec<LevelStats>,
}

pub(crate) fn compact(dir: &Path, output: &mut Output) -> Result<Outcome, Failure> {
    work(dir, output, Engine::compact)
}

pub(crate) fn flush(dir: &Path, output: &mut Output) -> Result<Outcome, Failure> {
    work(dir, output, Engine::flush)
}

fn work(
    dir: &Path,
    output: &mut Output,
    work: fn(&Engine) -> kv_engine::Result<()>,
) -> Result<Outcome, Failure> {
    let engine = open(dir)?;
    note_findings(&engine, output);
    work(&engine)?;
    let shape = engine.shape();
    output.record(&Shape { levels: engine.levels() }, |_| shape)?;
    engine.close()?;
    Ok(Outcome::Done)
}
