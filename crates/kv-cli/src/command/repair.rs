//! Salvage of a damaged database.

use std::io;
use std::path::Path;

use kv_engine::{Error, Keep, RepairOptions, RepairReport};
use kv_env::{Env, RealOptions};

use crate::arguments::KeepArgument;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

pub(crate) fn repair(
    dir: &Path,
    to: &Path,
    keep: KeepArgument,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let keep = match keep {
        KeepArgument::Proven => Keep::Proven,
        KeepArgument::Prefix => Keep::Prefix,
    };
    let source = open_source(dir)?;
    let is_new = !to.exists();
    let target = Env::real(to, true)?;
    let options = RepairOptions { keep, ..RepairOptions::default() };
    let report = kv_engine::repair(&source, &target, &options).inspect_err(|_| {
        // A refused repair has written nothing. The directory stays if anything
        // is in it, and if it cannot be removed it does no harm.
        if is_new {
            let _ = std::fs::remove_dir(to);
        }
    })?;
    output.record(&report, RepairReport::to_string)?;
    Ok(if report.is_complete() { Outcome::Done } else { Outcome::RepairedWithLosses })
}

/// A directory that cannot be written, for the device fails say, is read all
/// the same.
fn open_source(dir: &Path) -> Result<Env, Error> {
    match Env::real(dir, false) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            Env::real_with(dir, RealOptions { read_only: true, ..RealOptions::default() })
        }
        opened => opened,
    }
}
