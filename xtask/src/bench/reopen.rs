//! How long opening takes: after an orderly close, and after a killed process.

use std::path::Path;
use std::sync::Mutex;

use kv_engine::{Durability, Engine, Options};

use super::dataset::KeyOrder;
use super::measure;
use super::row::Row;
use super::session::{LOADED, Session};
use super::write_workloads::overwrite_entries;
use crate::failure::{Context, Outcome};
use crate::machine;
use crate::server_process::file_names;

/// Bytes of writes that the reopening has to replay: half a memory table, so
/// that none is flushed.
const UNFLUSHED_BYTES: u64 = 32 << 20;

/// Opens the loaded database with a log to replay.
pub(crate) fn reopen(session: &mut Session<'_>) -> Outcome {
    let engine = session.take_loaded()?;
    // With an empty memory table and no debt nothing is flushed or compacted
    // below, and so no file goes while they are copied.
    session.settle(&engine)?;
    let writes = UNFLUSHED_BYTES / session.dataset.entry_bytes();
    measure::run(1, None, |_, recorder| {
        overwrite_entries(session, &engine, 7, recorder, |done| done >= writes)
    })?;
    // The files of a running engine, as the operating system has them, are
    // what a killed process leaves behind.
    let copy = session.path("killed");
    copy_files(&session.path(LOADED), &copy)?;
    time_open(session, "reopen after kill", &copy)?.close()?;
    engine.close()?;
    drop(engine);
    let engine = time_open(session, "reopen after close", &session.path(LOADED))?;
    session.discard(LOADED, engine)
}

fn time_open(session: &mut Session<'_>, workload: &str, directory: &Path) -> Outcome<Engine> {
    let opened = Mutex::new(None);
    machine::reset_peak_memory();
    let measurement = measure::run(1, None, |_, recorder| {
        let options = Options { durability: Durability::Os, ..Options::default() };
        let engine = Engine::open(directory, options)?;
        recorder.record();
        *opened.lock().expect("one thread opens") = Some(engine);
        Ok(())
    })?;
    let opened = opened.into_inner().expect("one thread opens");
    let engine = opened.expect("a run without failure has opened");
    session.verify(&engine, KeyOrder::Random, session.options.count)?;
    session.rows.push(Row::new(workload, "-", &measurement, None));
    Ok(engine)
}

#[allow(clippy::disallowed_methods, reason = "a benchmark copies its own files")]
fn copy_files(from: &Path, to: &Path) -> Outcome {
    std::fs::create_dir_all(to).context(to.display())?;
    for name in file_names(from) {
        std::fs::copy(from.join(&name), to.join(&name)).context(&name)?;
    }
    Ok(())
}
