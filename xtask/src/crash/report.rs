//! What an experiment found: one row of the table at the end.
#![allow(clippy::disallowed_methods, reason = "a tool measures real time")]

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::rig::{Rig, Setting};
use super::scratch::Scratch;
use crate::failure::{Failure, Outcome};

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
        // Tools of the system are interrupted along with us, and then fail.
        Err(failure) if setting.interrupt.is_requested() => {
            println!("{name} did not come to its end: {}", failure.message);
            return Err(Failure::interrupted());
        }
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

/// Adds the remarks of another run: where they are alike but for their
/// figures, these are added.
pub(crate) fn add_remarks(all: &mut Vec<String>, more: Vec<String>) {
    for remark in more {
        match all.iter_mut().find(|known| shape(known) == shape(&remark)) {
            Some(known) => *known = sum(known, &remark),
            None => all.push(remark),
        }
    }
}

/// The words of a remark, with nothing for each figure.
fn shape(remark: &str) -> Vec<&str> {
    remark.split(|letter: char| letter.is_ascii_digit()).filter(|part| !part.is_empty()).collect()
}

/// A remark with the figures of both.
fn sum(one: &str, other: &str) -> String {
    let words = one.split(' ').zip(other.split(' ')).map(|(one, other)| {
        let figure = one.trim_end_matches([',', ';']);
        let figures: Option<(u64, u64)> =
            figure.parse().ok().zip(other.trim_end_matches([',', ';']).parse().ok());
        figures.map_or_else(
            || one.to_owned(),
            |(left, right)| format!("{}{}", left + right, &one[figure.len()..]),
        )
    });
    words.collect::<Vec<_>>().join(" ")
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

#[cfg(test)]
mod tests {
    use super::add_remarks;

    #[test]
    fn remarks_that_differ_in_their_figures_become_one() {
        let mut all = vec!["3 of 20 caught, 1 missed".to_owned()];
        let more = ["17 of 20 caught, 2 missed", "EIO in wal.log 4", "EIO in wal.log 12"];
        add_remarks(&mut all, more.map(String::from).to_vec());
        assert_eq!(all, ["20 of 40 caught, 3 missed", "EIO in wal.log 16"]);
    }
}
