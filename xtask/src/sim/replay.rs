//! One history again, with a log that a person can read, and what becomes of a
//! failure: shrunk, written to a file, told.
#![allow(clippy::disallowed_methods, reason = "an edge program: reads and writes scripts")]

use std::path::{Path, PathBuf};

use kv_sim::{Effort, Failure, Script};

use super::broken;
use crate::failure::{Context, Outcome};

/// Where `cargo test -p kv-sim` finds the histories that have failed once.
const REGRESSIONS: &str = "crates/kv-sim/regressions";

/// Replays a script file.
pub(super) fn file(path: &Path, cuts: Option<Effort>) -> Outcome {
    let text = std::fs::read_to_string(path).context(path.display())?;
    let parsed = text.parse::<Script>();
    script(&parsed.map_err(|error| broken(&format!("{}: {error}", path.display())))?, cuts)
}

/// Replays a history, and with `cuts` cuts it at every op: the effort's seed has to be
/// that of the run that has found something.
pub(super) fn script(script: &Script, cuts: Option<Effort>) -> Outcome {
    println!("{:#?}", script.settings);
    match kv_sim::run_with_log(script) {
        Err(failure) => return failed(&failure, "replay"),
        Ok(run) => {
            run.log.iter().for_each(|line| println!("{line}"));
            println!("{:?}", run.tally);
        }
    }
    if let Some(effort) = cuts {
        match kv_sim::cut_everywhere(script, &effort) {
            Err(failure) => return failed(&failure, "replay-cut"),
            Ok(figures) => println!("{figures:?}"),
        }
    }
    println!("nothing went wrong");
    Ok(())
}

/// Tells of a failure, shrinks it, and keeps the result.
pub(super) fn failed(failure: &Failure, name: &str) -> Outcome {
    println!("{failure}");
    println!("shrinking...");
    let small = kv_sim::shrink(failure.clone());
    println!("{small}");
    let mut script = small.script.clone();
    script.about = format!("{}\n{}", script.about, small.what);
    let path = PathBuf::from(REGRESSIONS).join(format!("{name}.script"));
    std::fs::write(&path, script.to_string()).context(path.display())?;
    println!("replay the small one: cargo xtask sim --script {}", path.display());
    Err(broken(&failure.what))
}
