//! Looking for a broken promise over many seeds.

use std::ops::Range;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::crash::{Effort, Figures, cut_everywhere};
use crate::generate::script_of;
use crate::parallel;
use crate::run::{Failure, run};
use crate::script::Script;

/// How long and how hard a hunt looks.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Also cut each history at all its ops, not only where it says so.
    pub cuts: Option<Effort>,
    /// A history that takes longer than this hangs. It is reported, and its
    /// thread is left behind.
    pub patience: Duration,
}

impl Budget {
    /// Histories as they are, without further cuts.
    pub const PLAIN: Budget = Budget { cuts: None, patience: Duration::from_secs(60) };
}

/// Runs the histories of `seeds`, one after the other, until one breaks a
/// promise; `None` if none does. For engines that may be wrong in any way: one
/// that waits for ever ends the hunt as well.
pub fn hunt(seeds: Range<u64>, budget: &Budget) -> Option<Failure> {
    hunt_scripts(seeds.map(script_of).collect(), budget)
}

/// As [`hunt`], for any histories.
pub fn hunt_scripts(scripts: Vec<Script>, budget: &Budget) -> Option<Failure> {
    let (report, reports) = mpsc::channel();
    let cuts = budget.cuts;
    let in_work = scripts.clone();
    thread::spawn(move || {
        for script in &in_work {
            let outcome = attempt(script, cuts);
            let has_failed = outcome.is_err();
            // Nobody listens any more after a hang.
            if report.send(outcome).is_err() || has_failed {
                return;
            }
        }
    });
    for script in scripts {
        match reports.recv_timeout(budget.patience) {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => return Some(*failure),
            Err(RecvTimeoutError::Timeout) => return Some(hanging(script, budget)),
            Err(RecvTimeoutError::Disconnected) => {
                unreachable!("the worker answers for each script")
            }
        }
    }
    None
}

fn attempt(script: &Script, cuts: Option<Effort>) -> Result<(), Box<Failure>> {
    match cuts {
        None => run(script).map(|_| ()),
        Some(effort) => cut_everywhere(script, &effort).map(|_| ()),
    }
}

fn hanging(script: Script, budget: &Budget) -> Failure {
    let what = format!("no end after {:?}: the engine hangs", budget.patience);
    Failure { step: script.steps.len(), script, what, log: Vec::new() }
}

/// The negative control: runs the histories of `seeds` on a disk whose syncs do
/// nothing. Returns how many it took to notice, and what was noticed; `None`
/// says that the harness is blind.
pub fn negative_control(seeds: Range<u64>) -> Option<(u64, Failure)> {
    let first = seeds.start;
    seeds.into_iter().find_map(|seed| {
        let mut script = script_of(seed);
        script.settings.lying_sync = true;
        run(&script).err().map(|failure| (seed - first + 1, *failure))
    })
}

/// The outcome of a seed among many.
#[derive(Debug)]
pub struct SeedOutcome {
    /// The seed.
    pub seed: u64,
    /// What was done, or what went wrong.
    pub outcome: Result<Figures, Box<Failure>>,
}

/// Runs the histories of all `seeds` on some threads; with `cuts`, also cut at
/// all their ops. The outcomes are in the order of the seeds.
pub fn run_seeds(seeds: Range<u64>, cuts: Option<&Effort>, threads: usize) -> Vec<SeedOutcome> {
    let seeds: Vec<u64> = seeds.collect();
    parallel::map(&seeds, threads, |&seed| {
        let script = script_of(seed);
        let outcome = match cuts {
            Some(effort) => cut_everywhere(&script, &effort.with_seed(seed)),
            None => run(&script).map(|run| Figures {
                scripts: 1,
                ops: run.ops,
                images: run.tally.opens,
                opened: run.tally.opens,
                tally: run.tally,
                ..Figures::default()
            }),
        };
        SeedOutcome { seed, outcome }
    })
}
