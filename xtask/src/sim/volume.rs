//! Many histories, and the figures of what was done.
#![allow(clippy::disallowed_methods, reason = "an edge program: measures real time")]

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kv_sim::{Effort, FailFigures, Figures, RotFigures, Script, SeedOutcome, Tally};

use super::{broken, replay};
use crate::failure::Outcome;

/// Seeds that are run between two looks at the clock.
const ROUND: u64 = 64;

/// Scripts between two lines of progress.
const NOTED_SCRIPTS: u64 = 25;

/// Seeds after which an honest-looking disk must have been found to lie.
const CONTROL_SEEDS: u64 = 50;

/// Seeds of a run without options.
const ORDINARY_SEEDS: u64 = 5_000;

/// Damaged images of a run without options.
const ORDINARY_ROT: u64 = 20_000;

/// A run without options fails one call in so many.
const ORDINARY_CALLS: u64 = 20;

/// What a volume is made with.
pub(super) struct Volume {
    pub(super) threads: usize,
    pub(super) from: u64,
}

impl Volume {
    /// What is worth running before a change lands.
    pub(super) fn everything(&self) -> Outcome {
        self.workloads()?;
        self.calls(ORDINARY_CALLS)?;
        self.seeds(self.from..self.from + ORDINARY_SEEDS)?;
        self.rot(ORDINARY_ROT)
    }

    /// The negative control, without which no volume says anything.
    pub(super) fn control(&self) -> Outcome {
        let Some((seeds, failure)) = kv_sim::negative_control(self.from..self.from + CONTROL_SEEDS)
        else {
            return Err(broken("a disk whose syncs do nothing went unnoticed"));
        };
        println!("negative control: a lying disk was caught after {seeds} seeds: {}", failure.what);
        match kv_sim::negative_control_of_cuts() {
            None => Err(broken("cuts on a disk whose syncs do nothing went unnoticed")),
            Some(failure) => {
                println!("negative control of the cuts: {}", failure.what);
                Ok(())
            }
        }
    }

    /// The scripted workloads, each cut at all its ops.
    fn workloads(&self) -> Outcome<Figures> {
        self.cut_scripts("workloads", &kv_sim::workloads())
    }

    /// The same, each with one of its calls failing.
    fn failing_workloads(&self) -> Outcome<Figures> {
        let mut scripts = Vec::new();
        for script in kv_sim::workloads() {
            match kv_sim::with_a_failing_call(&script, self.from) {
                Ok(script) => scripts.push(script),
                Err(failure) => replay::failed(&failure, "workload")?,
            }
        }
        self.cut_scripts("failing workloads", &scripts)
    }

    fn cut_scripts(&self, what: &str, scripts: &[Script]) -> Outcome<Figures> {
        let effort = Effort::ORDINARY.with_seed(self.from);
        let (started, done) = (Instant::now(), AtomicU64::new(0));
        let note = |_: &Figures| {
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(NOTED_SCRIPTS) {
                println!("{done} of {} {what}, {:.0?}", scripts.len(), started.elapsed());
            }
        };
        match kv_sim::cut_all(scripts, &effort, self.threads, note) {
            Ok(figures) => {
                tell(what, &figures, started.elapsed());
                Ok(figures)
            }
            Err(failure) => {
                let name = failure.script.about.replace([' ', ',', ':'], "-");
                replay::failed(&failure, &name).map(|()| Figures::default())
            }
        }
    }

    /// One call in `every` of the workloads fails, with each error.
    pub(super) fn calls(&self, every: u64) -> Outcome {
        let started = Instant::now();
        let scripts = kv_sim::workloads();
        let (done, runs_so_far) = (AtomicU64::new(0), AtomicU64::new(0));
        let note = |figures: &FailFigures| {
            let runs = runs_so_far.fetch_add(figures.runs, Ordering::Relaxed) + figures.runs;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(NOTED_SCRIPTS) {
                let of = scripts.len();
                println!("{done} of {of} workloads: {runs} runs, {:.0?}", started.elapsed());
            }
        };
        match kv_sim::fail_all(&scripts, every, self.threads, note) {
            Err(failure) => replay::failed(&failure, "failing-call"),
            Ok(FailFigures { scripts, calls, runs, told }) => {
                let took = started.elapsed();
                println!(
                    "failing calls: {scripts} histories with {calls} calls, one in {every} of \
                     them with each of {} errors: {runs} runs in {took:.1?}; every call failed, \
                     and in {told} of them the engine said so",
                    FailFigures::ERRORS
                );
                Ok(())
            }
        }
    }

    /// Histories of seeds as they are.
    pub(super) fn seeds(&self, seeds: Range<u64>) -> Outcome {
        let (started, mut sum) = (Instant::now(), Figures::default());
        for from in seeds.clone().step_by(4096) {
            let to = seeds.end.min(from + 4096);
            sum.add(&collect(kv_sim::run_seeds(from..to, None, self.threads), false)?);
            println!("seeds up to {to}, {:.0?}", started.elapsed());
        }
        tell("seeds", &sum, started.elapsed());
        Ok(())
    }

    /// The workloads, as they are and with failing calls, then histories of
    /// seeds, all cut at every op.
    pub(super) fn images(&self, wanted: u64) -> Outcome {
        let started = Instant::now();
        let mut sum = self.workloads()?;
        if sum.images < wanted {
            sum.add(&self.failing_workloads()?);
        }
        self.cut_seeds(&mut sum, |sum| sum.images >= wanted)?;
        tell("images", &sum, started.elapsed());
        Ok(())
    }

    /// Histories of seeds, cut at every op, until the time is over.
    pub(super) fn minutes(&self, minutes: u64) -> Outcome {
        let started = Instant::now();
        let mut sum = Figures::default();
        self.cut_seeds(&mut sum, |_| started.elapsed() >= Duration::from_secs(60 * minutes))?;
        tell("seeds, cut everywhere", &sum, started.elapsed());
        Ok(())
    }

    fn cut_seeds(&self, sum: &mut Figures, is_enough: impl Fn(&Figures) -> bool) -> Outcome {
        let mut from = self.from;
        while !is_enough(sum) {
            let seeds = from..from + ROUND;
            let outcomes = kv_sim::run_seeds(seeds, Some(&Effort::ORDINARY), self.threads);
            sum.add(&collect(outcomes, true)?);
            from += ROUND;
            println!("seeds up to {from}: {} images", sum.images);
        }
        Ok(())
    }

    /// Damaged images of workloads and of seeds.
    pub(super) fn rot(&self, wanted: u64) -> Outcome {
        const OF_EACH: u64 = 50;
        let (started, mut sum) = (Instant::now(), RotFigures::default());
        let workloads = kv_sim::workloads();
        let mut from = self.from;
        while sum.images < wanted {
            let histories: Vec<_> = (from..from + ROUND)
                .map(|number| match workloads.get((number - self.from) as usize) {
                    Some(script) => (number, script.clone()),
                    None => (number, kv_sim::script_of(number)),
                })
                .collect();
            match kv_sim::rot_all(&histories, OF_EACH, self.threads) {
                Ok(figures) => sum.add(&figures),
                Err(failure) => {
                    println!("{failure}");
                    return Err(broken(&failure.what));
                }
            }
            from += ROUND;
            println!("rot: {} images, {:.0?}", sum.images, started.elapsed());
        }
        println!("rot: {sum:?} in {:.1?}; silent wrong answers: 0", started.elapsed());
        Ok(())
    }
}

/// Adds up outcomes, or tells of the first failure.
fn collect(outcomes: Vec<SeedOutcome>, cut: bool) -> Outcome<Figures> {
    let mut sum = Figures::default();
    for SeedOutcome { seed, outcome } in outcomes {
        match outcome {
            Ok(figures) => sum.add(&figures),
            Err(failure) => {
                let flag = if cut { " --cut" } else { "" };
                println!("seed {seed} failed; replay: cargo xtask sim --seed {seed}{flag}");
                replay::failed(&failure, &format!("seed-{seed}"))?;
            }
        }
    }
    Ok(sum)
}

fn tell(what: &str, figures: &Figures, took: Duration) {
    let Figures { scripts, ops, images, opened, of_recoveries, depth, tally } = figures;
    let seconds = took.as_secs_f64();
    println!(
        "{what}: {scripts} histories, {ops} ops, {images} images ({opened} opened, the others \
         equal to one of them; {of_recoveries} of cut recoveries, up to {depth} deep) in \
         {seconds:.1} s, {:.0} images/s",
        *images as f64 / seconds
    );
    let Tally { flushes, compactions, trivial_moves, conflicts, torn_tails, opens, .. } = tally;
    let Tally { errors, damage_reports, panics, deaths, ended_by_damage, .. } = tally;
    println!(
        "  {opens} opens with {torn_tails} torn tails; {flushes} flushes, {compactions} \
         compactions, {trivial_moves} moved tables, {conflicts} conflicts; {errors} errors in \
         order, {damage_reports} of them of damage, {panics} of panics, {deaths} deaths by map, \
         {ended_by_damage} ends by damage"
    );
}
