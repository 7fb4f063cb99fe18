//! Looking for a broken promise over many seeds.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::crash::{Effort, Figures, cut_everywhere};
use crate::generate::script_of;
use crate::panics;
use crate::parallel;
use crate::patience::receive;
use crate::run::{Failure, run};
use crate::script::Script;
use crate::workloads::workloads;

/// How long and how hard a hunt looks.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Also cut each history at all its ops, not only where it says so.
    pub cuts: Option<Effort>,
    /// A history that takes longer than this on the processor hangs. It is
    /// reported, and its thread is left behind.
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
    let cuts = budget.cuts;
    scripts.into_iter().find_map(|script| {
        let outcome = watched(script, budget.patience, 1, move |script| attempt(script, cuts));
        outcome.err().map(|failure| *failure)
    })
}

/// Does `work` on a thread of its own, which is left behind if it hangs; so many
/// `histories` are under way at a time.
fn watched(
    script: Script,
    patience: Duration,
    histories: u32,
    work: impl FnOnce(&Script) -> Result<Figures, Box<Failure>> + Send + 'static,
) -> Result<Figures, Box<Failure>> {
    let (report, outcome) = mpsc::channel();
    let worked_on = script.clone();
    thread::spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&worked_on)));
        let outcome = outcome.map_err(|panic| panics::message(&*panic).to_owned());
        // Nobody listens any more after a hang.
        let _ = report.send(outcome);
    });
    let what = match receive(&outcome, patience, histories) {
        Ok(Ok(outcome)) => return outcome,
        Ok(Err(panic)) => format!("a panic between two steps: {panic}"),
        Err(RecvTimeoutError::Timeout) => format!("no end after {patience:?}: the engine hangs"),
        Err(RecvTimeoutError::Disconnected) => "the thread of the history has died".into(),
    };
    Err(Box::new(Failure { step: script.steps.len(), script, what, log: Vec::new() }))
}

fn attempt(script: &Script, cuts: Option<Effort>) -> Result<Figures, Box<Failure>> {
    match cuts {
        Some(effort) => cut_everywhere(script, &effort),
        None => run(script).map(|run| Figures {
            scripts: 1,
            ops: run.ops,
            images: run.tally.opens,
            opened: run.tally.opens,
            tally: run.tally,
            ..Figures::default()
        }),
    }
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

/// The same for the cuts: a history in which nothing goes wrong by itself, cut at
/// every op on such a disk. Returns what was noticed; `None` says that they are
/// blind.
pub fn negative_control_of_cuts() -> Option<Failure> {
    let mut script = workloads().into_iter().next()?;
    script.settings.lying_sync = true;
    run(&script).ok()?;
    cut_everywhere(&script, &Effort::ORDINARY).err().map(|failure| *failure)
}

/// The outcome of a seed among many.
#[derive(Debug)]
pub struct SeedOutcome {
    /// The seed.
    pub seed: u64,
    /// What was done, or what went wrong.
    pub outcome: Result<Figures, Box<Failure>>,
}

/// A history that is cut at all its ops may take minutes.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// Runs the histories of all `seeds` on some threads; with `cuts`, also cut at
/// all their ops. The outcomes are in the order of the seeds.
pub fn run_seeds(seeds: Range<u64>, cuts: Option<&Effort>, threads: usize) -> Vec<SeedOutcome> {
    let seeds: Vec<u64> = seeds.collect();
    let patience = if cuts.is_some() { PATIENCE } else { Budget::PLAIN.patience };
    let histories = threads.max(1) as u32;
    parallel::map(&seeds, threads, |&seed| {
        let (script, cuts) = (script_of(seed), cuts.map(|effort| effort.with_seed(seed)));
        let outcome = watched(script, patience, histories, move |script| attempt(script, cuts));
        SeedOutcome { seed, outcome }
    })
}
