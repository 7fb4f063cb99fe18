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
mod jobs;
mod ledger;
mod schedule;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use self::jobs::{Job, build_fuzz_targets, jobs};
use self::ledger::{Course, Ledger, Row};
use self::schedule::{FULL_MINUTES, next, scaled};
use super::plans::{PLANS, Plan, SoakVolume};
use super::rig::Setting;
use super::seed_of_now;
use crate::failure::{EXIT_INTERRUPTED, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::server_build::ServerChoice;

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

/// Companions at the same time, each with one thread for the most part.
const COMPANIONS: usize = 2;
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
    /// Its row. The target is at least what `ci` does: by that many it is judged.
    fn row(&self, minutes: u64) -> Row {
        let target = match self.soak {
            SoakVolume::Cycles(full) => scaled(full, minutes).max(self.cycles),
            SoakVolume::All if minutes >= LEAST_MINUTES_FOR_ALL => u64::MAX,
            SoakVolume::All => self.cycles,
        };
        Row::new(self.name, "cycles", target)
    }
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
            let Some(job) = job else { return Ok(()) };
            let row = job.row;
            if self.is_over() {
                self.ledger.update(row, |row| row.close("its time was over before its turn"))?;
                continue;
            }
            match job.companion.obstacle()? {
                Some(notice) => {
                    self.ledger.update(row, |row| row.close(format!("skipped: {notice}")))?;
                }
                None => self.run_companion(&job)?,
            }
            self.tell(row);
        }
    }

    fn run_companion(&self, job: &Job) -> Outcome {
        let Job { row: index, companion, .. } = job;
        let interrupt = &self.setting.interrupt;
        let performance = companion.run(interrupt, self.deadline, |line| match job.done(line) {
            Some(done) => self.ledger.update(*index, |row| {
                row.progress.done = row.progress.done.max(done);
            }),
            None => Ok(()),
        })?;
        self.ledger.update(*index, |row| job.judge(&performance, row))
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

#[cfg(test)]
mod tests {
    use super::PLANS;

    #[test]
    fn the_shortest_soak_does_as_much_as_an_experiment_is_judged_by() {
        for plan in &PLANS {
            for minutes in [1, 3, 29, 30, 81] {
                let progress = plan.row(minutes).progress;
                assert!(progress.target >= plan.cycles.max(1), "{} {minutes}", plan.name);
            }
        }
    }
}
