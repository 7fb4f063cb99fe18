//! Salvage of a damaged database.

use std::path::Path;

use kv_engine::{Keep, RepairOptions, RepairReport};
use kv_env::Env;

use crate::arguments::KeepArgument;
use crate::command::open_to_read;
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
    let source = open_to_read(dir)?;
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
    output.summed_up(&report, RepairReport::to_string)?;
    Ok(if report.is_complete() { Outcome::Done } else { Outcome::RepairedWithLosses })
}
