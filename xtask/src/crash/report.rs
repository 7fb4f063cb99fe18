//! What an experiment found: one row of the table at the end.
#![allow(clippy::disallowed_methods, reason = "a tool measures real time")]

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::rig::{Rig, Setting};
use super::scratch::Scratch;
use crate::failure::{EXIT_INTERRUPTED, Outcome};

/// One experiment, carried out.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) name: String,
    pub(crate) cycles: u64,
    pub(crate) acknowledged: u64,
    pub(crate) keys_read: u64,
    pub(crate) histories: u64,
    pub(crate) seconds: f64,
    /// What it did and met, in figures.
    pub(crate) remarks: Vec<String>,
    pub(crate) violation: Option<Violation>,
}

/// What went wrong.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    /// Experiment, cycle, seed and a sentence.
    pub(crate) what: String,
    evidence: PathBuf,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}\n  evidence: {}", self.what, self.evidence.display())
    }
}

impl Report {
    /// Adds another run of the same experiment; the first violation stays.
    pub(crate) fn add(&mut self, other: Report) {
        self.cycles += other.cycles;
        self.acknowledged += other.acknowledged;
        self.keys_read += other.keys_read;
        self.histories += other.histories;
        self.seconds += other.seconds;
        self.remarks.extend(other.remarks);
        self.violation = self.violation.take().or(other.violation);
    }
}

/// Carries an experiment out in a scratch directory of its own, which is kept
/// if it fails. Whatever fails counts: a server that does not come back is as
/// bad as one that comes back without its data.
pub(crate) fn conduct(
    name: &str,
    setting: &Setting,
    experiment: impl FnOnce(&Scratch, &mut Rig) -> Outcome,
) -> Outcome<Report> {
    let started = Instant::now();
    let scratch = Scratch::new()?;
    let label = name.bytes().fold(0, |hash: u64, byte| hash.wrapping_mul(31) + u64::from(byte));
    let mut rig = Rig::new(setting, scratch.path(), label)?;
    let outcome = experiment(&scratch, &mut rig);
    let violation = match outcome {
        Ok(()) => {
            if setting.keep {
                let kept = scratch.keep(&name.replace(' ', "-"), setting.seed)?;
                println!("{name}: kept in {}", kept.display());
            }
            None
        }
        Err(failure) if failure.exit_code == EXIT_INTERRUPTED => return Err(failure),
        Err(failure) => {
            rig.write_evidence(scratch.path(), &failure.message)?;
            let evidence = scratch.keep(&name.replace(' ', "-"), setting.seed)?;
            let (cycle, seed) = (rig.cycles + 1, setting.seed);
            let what = format!("{name}, cycle {cycle}, seed {seed}: {}", failure.message);
            Some(Violation { what, evidence })
        }
    };
    let counts = rig.oracle.counts;
    Ok(Report {
        name: name.to_owned(),
        cycles: rig.cycles,
        acknowledged: counts.acknowledged,
        keys_read: counts.keys_read,
        histories: counts.histories,
        seconds: started.elapsed().as_secs_f64(),
        remarks: std::mem::take(&mut rig.remarks),
        violation,
    })
}

/// The rows as a table.
pub(crate) fn table(reports: &[Report]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header([
        "experiment",
        "cycles",
        "acknowledged and checked",
        "keys read",
        "histories",
        "violations",
        "seconds",
        "remarks",
    ]);
    for report in reports {
        table.add_row([
            report.name.clone(),
            report.cycles.to_string(),
            report.acknowledged.to_string(),
            report.keys_read.to_string(),
            report.histories.to_string(),
            u64::from(report.violation.is_some()).to_string(),
            format!("{:.1}", report.seconds),
            report.remarks.join("; "),
        ]);
    }
    table.trim_fmt()
}
