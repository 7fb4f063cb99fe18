//! `cargo xtask soak`: everything that hurts the store, in volumes that follow
//! the time asked for, and a page of what came of it.
//!
//! 1. One lane runs the experiments of `cargo xtask crash`, in parts: whichever
//!    is furthest behind its figure is next.
//! 2. Others run the simulation, the fuzz targets and the museum beside it, and
//!    give way to it.
//! 3. The page in `docs/soak` is written anew after each part.
//!
//! What does not fit into the time is left undone, and the page says so.
#![allow(clippy::disallowed_methods, reason = "a tool measures real time and reads its sources")]

mod companion;
mod ledger;
mod schedule;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use self::companion::{Companion, Ending};
use self::ledger::{Course, Ledger, Row};
use self::schedule::{FULL_MINUTES, next, scaled};
use super::plans::{PLANS, Plan, SoakVolume};
use super::rig::Setting;
use super::seed_of_now;
use crate::failure::{Context, EXIT_INTERRUPTED, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::server_build::ServerChoice;
use crate::workspace::source_root;

/// Options of `cargo xtask soak`.
#[derive(Debug, Args)]
pub(crate) struct SoakOptions {
    /// How long, in minutes; volumes follow it, and the figures of a full soak
    /// are those of 75
    #[arg(long, default_value_t = FULL_MINUTES)]
    minutes: u64,
    /// Repeat the choices of an earlier run [default: from the clock]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    #[command(flatten)]
    server: ServerChoice,
}

/// Images that the simulation checks in a full soak.
const SIM_IMAGES: u64 = 5_000_000;
/// Seconds of each fuzz target in a full soak.
const FUZZ_SECONDS: u64 = 300;
/// Where the seconds stand among the words of a fuzz target.
const SECONDS_AT: usize = 2;
/// Companions at the same time, each with one thread for the most part.
const COMPANIONS: usize = 2;
/// The longest that building the fuzz targets may take.
const BUILD_PATIENCE: Duration = Duration::from_secs(20 * 60);
/// Violations of one experiment after which it is given up: there is enough to
/// look at, and the time is better spent on the others.
const MOST_VIOLATIONS: usize = 3;
/// A soak that is shorter does not make every system call fail.
const LEAST_MINUTES_FOR_ALL: u64 = 30;

/// What the lanes share.
struct Soak {
    ledger: Ledger,
    setting: Setting,
    deadline: Instant,
    minutes: u64,
}

/// A companion and its row.
struct Job {
    row: usize,
    companion: Companion,
}

/// Runs it all and writes the page; fails if anything was found.
pub(crate) fn run(options: &SoakOptions) -> Outcome {
    let seed = options.seed.unwrap_or_else(seed_of_now);
    let setting = Setting {
        binary: options.server.binary()?,
        seed,
        interrupt: Interrupt::install()?,
        keep: false,
    };
    let minutes = options.minutes;
    let mut rows: Vec<Row> = PLANS.iter().map(|plan| plan.row(minutes)).collect();
    let jobs = jobs(seed, minutes, &mut rows)?;
    build_fuzz_targets(&jobs, &setting.interrupt)?;
    let told = format!("Asked for: `cargo xtask soak --minutes {minutes} --seed {seed}`.");
    let ledger = Ledger::create(&told, rows)?;
    println!("seed {seed}, {}", ledger.path().display());
    let deadline = Instant::now() + Duration::from_secs(minutes * 60);
    let soak = Soak { ledger, setting, deadline, minutes };
    let jobs = Mutex::new(VecDeque::from(jobs));
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let mut lanes = vec![scope.spawn(|| soak.run_experiments())];
        lanes.extend((0..COMPANIONS).map(|_| scope.spawn(|| soak.run_companions(&jobs))));
        lanes.into_iter().map(|lane| lane.join().expect("a lane does not panic")).collect()
    });
    soak.conclude(outcomes)
}

impl Plan {
    fn row(&self, minutes: u64) -> Row {
        let target = match self.soak {
            SoakVolume::Cycles(full) => scaled(full, minutes),
            SoakVolume::All if minutes >= LEAST_MINUTES_FOR_ALL => u64::MAX,
            SoakVolume::All => scaled(self.cycles, minutes),
        };
        Row::new(self.name, "cycles", target)
    }
}

/// The companions, the longest first, each with a new row.
fn jobs(seed: u64, minutes: u64, rows: &mut Vec<Row>) -> Outcome<Vec<Job>> {
    let mut jobs = Vec::new();
    let mut add = |name: &str, unit, target, arguments: &[&str], needs| {
        rows.push(Row::new(name, unit, target));
        let arguments = arguments.iter().copied().map(String::from).collect();
        jobs.push(Job { row: rows.len() - 1, companion: Companion { arguments, needs } });
    };
    let (images, from) = (scaled(SIM_IMAGES, minutes), seed.to_string());
    let words = ["sim", "--images", &images.to_string(), "--from", &from, "--threads", "1"];
    add("sim", "images", images, &words, &["--images", "--from", "--threads"]);
    let seconds = scaled(FUZZ_SECONDS, minutes);
    for target in fuzz_targets()? {
        let words = ["fuzz", "--seconds", &seconds.to_string(), "--target", &target];
        add(&format!("fuzz {target}"), "seconds", seconds, &words, &["--seconds", "--target"]);
    }
    add("museum", "runs", 1, &["museum"], &[]);
    Ok(jobs)
}

/// Builds the fuzz targets by a short run of one: that is no part of the time.
/// Whether it works is seen when they run.
fn build_fuzz_targets(jobs: &[Job], interrupt: &Interrupt) -> Outcome {
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

impl Soak {
    /// The lane of the experiments.
    fn run_experiments(&self) -> Outcome {
        for (index, plan) in PLANS.iter().enumerate() {
            if let Some(obstacle) = plan.obstacle() {
                self.ledger.update(index, |row| row.close(format!("skipped: {obstacle}")))?;
            }
        }
        let mut part = 0;
        while let Some(index) = next(&self.ledger.progress()[..PLANS.len()]) {
            self.setting.interrupt.check()?;
            if self.is_over() {
                break;
            }
            part += 1;
            let plan = &PLANS[index];
            let row = self.ledger.row(index);
            let cycles = if row.is_all { u64::MAX } else { row.progress.slice(plan.cycles) };
            let setting = Setting { seed: self.setting.seed + part, ..self.setting.clone() };
            let report = (plan.run)(&setting, cycles)?;
            self.ledger.update(index, |row| {
                row.add(report);
                // All there are were tried.
                row.progress.is_closed |= row.is_all;
                if row.violations.len() >= MOST_VIOLATIONS {
                    row.close("given up after so many violations");
                }
            })?;
            self.tell(index);
        }
        Ok(())
    }

    /// A lane of companions, which takes one after the other.
    fn run_companions(&self, jobs: &Mutex<VecDeque<Job>>) -> Outcome {
        loop {
            self.setting.interrupt.check()?;
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(Job { row, companion }) = job else { return Ok(()) };
            if self.is_over() {
                self.ledger.update(row, |row| row.close("its time was over before its turn"))?;
                continue;
            }
            match companion.obstacle()? {
                Some(notice) => {
                    self.ledger.update(row, |row| row.close(format!("skipped: {notice}")))?;
                }
                None => self.run_companion(row, &companion)?,
            }
            self.tell(row);
        }
    }

    fn run_companion(&self, index: usize, companion: &Companion) -> Outcome {
        let interrupt = &self.setting.interrupt;
        let performance =
            companion.run(interrupt, self.deadline, |line| match images_in(line) {
                Some(images) => self.ledger.update(index, |row| row.progress.done = images),
                None => Ok(()),
            })?;
        self.ledger.update(index, |row| {
            row.seconds += performance.seconds;
            row.printed.clone_from(&performance.printed);
            match performance.ending {
                // It counts itself, and may do more than was asked for.
                Ending::Passed => row.progress.done = row.progress.done.max(row.progress.target),
                Ending::Late => row.close("its time was over before its work"),
                Ending::Failed => {
                    row.violations.push(format!("`{}` has failed", companion.words()));
                }
            }
        })
    }

    fn is_over(&self) -> bool {
        Instant::now() > self.deadline
    }

    /// One line of progress on the screen.
    fn tell(&self, index: usize) {
        let row = self.ledger.row(index);
        let (done, target, violations) = (row.progress.done, row.target(), row.violations.len());
        println!(
            "{:>5.1} of {} min: {} {done} of {target} {}, {violations} violations{}",
            self.ledger.minutes(),
            self.minutes,
            row.name,
            row.unit,
            row.notices.last().map(|notice| format!(" ({notice})")).unwrap_or_default()
        );
    }

    /// Writes the last word; fails if there was a violation or an end before
    /// the end.
    fn conclude(&self, outcomes: Vec<Outcome>) -> Outcome {
        let failures: Vec<Failure> = outcomes.into_iter().filter_map(Result::err).collect();
        let interrupted = failures.iter().any(|failure| failure.exit_code == EXIT_INTERRUPTED);
        let course = if failures.is_empty() { Course::Complete } else { Course::Interrupted };
        let mut found = self.ledger.conclude(course)?;
        println!("\n{}\n{}", self.ledger.table(), self.ledger.path().display());
        if interrupted {
            return Err(Failure::interrupted());
        }
        found.extend(failures.into_iter().map(|failure| failure.message));
        match found.as_slice() {
            [] => Ok(()),
            found => Err(Failure::check(format!("violations:\n{}", found.join("\n")))),
        }
    }
}

/// The number of images that a line of the simulation speaks of.
fn images_in(line: &str) -> Option<u64> {
    let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let at = words.iter().position(|word| *word == "images")?;
    words[..at].last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::images_in;

    #[test]
    fn the_progress_of_the_simulation_is_read_from_its_lines() {
        assert_eq!(images_in("seeds up to 65: 681234 images"), Some(681_234));
        assert_eq!(images_in("25 of 150 workloads, 3s"), None);
        assert_eq!(images_in("images"), None);
    }
}
