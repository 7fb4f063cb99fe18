//! What runs beside the experiments of a soak: the simulation, the fuzz targets
//! and the museum, how much of each, and how far a line says it has got.
#![allow(clippy::disallowed_methods, reason = "a tool reads its sources and measures time")]

use std::time::{Duration, Instant};

use super::companion::{Companion, Ending, Performance};
use super::ledger::Row;
use super::schedule::{FULL_MINUTES, Progress, scaled};
use crate::failure::{Context, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::workspace::source_root;

/// Images that the simulation checks in a full soak: crashed and damaged ones.
const SIM_IMAGES: u64 = 5_000_000;
const ROT_IMAGES: u64 = 200_000;
/// Seconds of each fuzz target in a full soak.
const FUZZ_SECONDS: u64 = 300;
/// Where the seconds stand among the words of a fuzz target.
const SECONDS_AT: usize = 2;
/// The longest that building the fuzz targets may take.
const BUILD_PATIENCE: Duration = Duration::from_secs(20 * 60);

/// A companion and its row.
pub(super) struct Job {
    pub(super) row: usize,
    pub(super) companion: Companion,
    /// True if its lines tell how much it has done. It may do more than was
    /// asked for.
    pub(super) counts_itself: bool,
    unit: &'static str,
}

impl Job {
    /// How much of its unit a line says is done.
    pub(super) fn done(&self, line: &str) -> Option<u64> {
        if self.counts_itself { count_in(line, self.unit) } else { None }
    }

    /// Enters what came of it. A tool that leaves its work undone for want of
    /// something on this machine says so, and ends well.
    pub(super) fn judge(&self, performance: &Performance, row: &mut Row) {
        row.seconds += performance.seconds;
        row.printed.clone_from(&performance.printed);
        let Progress { done, target, .. } = row.progress;
        match (performance.ending, performance.notice()) {
            (Ending::Passed, Some(notice)) => row.close(notice),
            (Ending::Passed, None) if !self.counts_itself => row.progress.done = target,
            (Ending::Passed, None) if done < target => {
                row.violations.push(format!("it ended well after {done} of {target}"));
            }
            (Ending::Passed, None) => {}
            (Ending::Late, _) => row.close("its time was over before its work"),
            (Ending::Failed, _) => {
                row.violations.push(format!("`{}` has failed", self.companion.words()));
            }
        }
    }
}

/// Gathers jobs, each with a new row.
struct Jobs<'a> {
    jobs: Vec<Job>,
    rows: &'a mut Vec<Row>,
}

impl Jobs<'_> {
    fn add(
        &mut self,
        name: &str,
        (target, unit): (u64, &'static str),
        words: &[&str],
        needs: &'static [&'static str],
    ) {
        self.rows.push(Row::new(name, unit, target));
        let arguments = words.iter().copied().map(String::from).collect();
        self.jobs.push(Job {
            row: self.rows.len() - 1,
            companion: Companion { arguments, needs },
            counts_itself: words[0] == "sim",
            unit,
        });
    }
}

/// The companions, the longest first, each with a new row.
pub(super) fn jobs(seed: u64, minutes: u64, rows: &mut Vec<Row>) -> Outcome<Vec<Job>> {
    let mut jobs = Jobs { jobs: Vec::new(), rows };
    let from = seed.to_string();
    let images = scaled(SIM_IMAGES, minutes);
    let words = ["sim", "--images", &images.to_string(), "--from", &from, "--threads", "1"];
    jobs.add("sim", (images, "images"), &words, &["--images", "--from", "--threads"]);
    let every = share_of_calls(minutes);
    let runs = kv_sim::count_runs(&kv_sim::workloads(), every)
        .map_err(|failure| Failure::check(failure.to_string()))?;
    let words = ["sim", "--calls", &every.to_string(), "--threads", "1"];
    jobs.add("sim calls", (runs, "runs"), &words, &["--calls", "--threads"]);
    let images = scaled(ROT_IMAGES, minutes);
    let words = ["sim", "--rot", &images.to_string(), "--from", &from, "--threads", "1"];
    jobs.add("sim rot", (images, "images"), &words, &["--rot", "--from", "--threads"]);
    let seconds = scaled(FUZZ_SECONDS, minutes);
    for target in fuzz_targets()? {
        let words = ["fuzz", "--seconds", &seconds.to_string(), "--target", &target];
        let name = format!("fuzz {target}");
        jobs.add(&name, (seconds, "seconds"), &words, &["--seconds", "--target"]);
    }
    jobs.add("museum", (1, "runs"), &["museum"], &[]);
    Ok(jobs.jobs)
}

/// One call of the workloads in so many is made to fail: each in a full soak.
fn share_of_calls(minutes: u64) -> u64 {
    FULL_MINUTES.div_ceil(minutes.max(1))
}

/// Builds the fuzz targets by a short run of one: that is no part of the time.
/// Whether it works is seen when they run.
pub(super) fn build_fuzz_targets(jobs: &[Job], interrupt: &Interrupt) -> Outcome {
    let is_fuzz = |job: &&Job| job.companion.arguments[0] == "fuzz";
    let Some(job) = jobs.iter().find(is_fuzz) else { return Ok(()) };
    let mut companion = job.companion.clone();
    if companion.obstacle()?.is_none() {
        companion.arguments[SECONDS_AT] = "1".into();
        println!("building the fuzz targets");
        companion.run(interrupt, Instant::now() + BUILD_PATIENCE, |_| Ok(()))?;
    }
    Ok(())
}

/// Names of the fuzz targets, which are those of their files.
fn fuzz_targets() -> Outcome<Vec<String>> {
    let directory = source_root().join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&directory).context(directory.display())?;
    let stems = entries
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".rs")?.to_owned()));
    let mut names: Vec<String> = stems.collect();
    names.sort();
    Ok(names)
}

/// The number in front of the first `unit` in a line.
fn count_in(line: &str, unit: &str) -> Option<u64> {
    let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let at = words.iter().position(|word| *word == unit)?;
    words[..at].last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Companion, Ending, FULL_MINUTES, Job, Performance, Row, count_in, share_of_calls};

    /// The row of a tool that ended well, printed this, and had done so much of 300.
    fn row_after(tool: &str, done: u64, printed: &str) -> Row {
        let companion = Companion { arguments: vec![tool.into()], needs: &[] };
        let job = Job { row: 0, companion, counts_itself: tool == "sim", unit: "images" };
        let mut row = Row::new(tool, "images", 300);
        row.progress.done = done;
        let (ending, printed) = (Ending::Passed, printed.to_owned());
        job.judge(&Performance { ending, printed, seconds: 1.0 }, &mut row);
        row
    }

    #[test]
    fn what_a_tool_leaves_undone_is_not_counted() {
        assert_eq!(row_after("fuzz", 0, "fuzz resp: 900 executions").progress.done, 300);
        let skipped = row_after("fuzz", 0, "built\nNOTICE: fuzzing skipped: no compiler\n");
        assert_eq!((skipped.progress.done, skipped.progress.is_closed), (0, true));
        assert_eq!(skipped.notices, ["fuzzing skipped: no compiler"]);
        assert!(row_after("sim", 300, "").violations.is_empty());
        assert_eq!(row_after("sim", 299, "").violations.len(), 1);
    }

    #[test]
    fn progress_is_read_from_the_lines_of_the_simulation() {
        let cases = [
            ("seeds up to 65: 681234 images", "images", Some(681_234)),
            ("25 of 150 workloads, 3s", "images", None),
            ("25 of 150 workloads: 1200 runs, 3s", "runs", Some(1200)),
            ("rot: 4100 images, 12s", "images", Some(4100)),
            ("each of 6 errors: 337974 runs in 300.1s; every call", "runs", Some(337_974)),
            ("images", "images", None),
        ];
        for (line, unit, expected) in cases {
            assert_eq!(count_in(line, unit), expected, "{line}");
        }
    }

    #[test]
    fn a_full_soak_fails_every_call_and_a_short_one_a_share() {
        assert_eq!([1, 30, FULL_MINUTES, 200].map(share_of_calls), [75, 3, 1, 1]);
    }
}
