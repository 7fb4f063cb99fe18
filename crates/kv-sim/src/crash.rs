//! Cutting the power at every op of a history, with every image that the disk
//! may be left in, and killing the process at every op; then cutting the
//! recoveries of a share of the images at every op again, and so on.
//!
//! Behind a sync by which the device has stored something else than it was told
//! an image may be refused, or answer some reads with a report of damage; what it
//! does answer must be part of a state that may be there. In front of that sync
//! it is held to everything.

use std::collections::HashMap;

use kv_engine::Engine;
use kv_env::SimDisk;

use crate::entry::Loss;
use crate::model::History;
use crate::opening::check_report;
use crate::parts::Parts;
use crate::random::{Random, mix};
use crate::reading::{self, ReadFailure};
use crate::run::{Failure, guarded, run_to_the_end};
use crate::script::Script;
use crate::state::State;
use crate::step::{Batch, Change, Cut, Step};
use crate::tally::Tally;
use crate::world::{Verdict, World, blames_disk};

/// How much is tried. All shares are drawn from a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Seed of what is drawn.
    pub seed: u64,
    /// One recovery in so many is cut at each of its ops.
    pub second_cut_of: u64,
    /// Of the recoveries of those, one in so many is cut again, and so on.
    pub third_cut_of: u64,
    /// One recovered engine in so many goes on working and is closed.
    pub exercise_of: u64,
}

impl Effort {
    /// What an ordinary test run does.
    pub const ORDINARY: Effort =
        Effort { seed: 1, second_cut_of: 199, third_cut_of: 997, exercise_of: 53 };

    /// The same with another seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Effort {
        Effort { seed, ..self }
    }
}

/// What was done, to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Histories that were cut.
    pub scripts: u64,
    /// Ops at which they were cut.
    pub ops: u64,
    /// Images: different for one op, and checked each.
    pub images: u64,
    /// Images that were opened; the others equal one that was.
    pub opened: u64,
    /// Images of cut recoveries among them.
    pub of_recoveries: u64,
    /// The most cuts one upon the other.
    pub depth: u64,
    /// What the engines did.
    pub tally: Tally,
}

impl Figures {
    /// Adds up two accounts.
    pub fn add(&mut self, other: &Figures) {
        self.scripts += other.scripts;
        self.ops += other.ops;
        self.images += other.images;
        self.opened += other.opened;
        self.of_recoveries += other.of_recoveries;
        self.depth = self.depth.max(other.depth);
        self.tally.add(&other.tally);
    }
}

/// Runs `script`, then crashes it at every op of its last disk. One that damage has
/// ended before any open could tell what that holds is not crashed.
///
/// # Errors
/// The first image that breaks a promise, as a script that leads to it.
pub fn cut_everywhere(script: &Script, effort: &Effort) -> Result<Figures, Box<Failure>> {
    let (world, run) = run_to_the_end(script, false)?;
    let mut cutter = Cutter {
        script,
        effort,
        world: &world,
        random: Random::new(mix(effort.seed, script.settings.seed)),
        figures: Figures { scripts: 1, tally: run.tally, ..Figures::default() },
    };
    if world.is_settled {
        cutter.cut(&Life::of(&world))?;
    }
    Ok(cutter.figures)
}

/// The op count from which on the last disk may hold something else than it was
/// told.
fn damaged_from(world: &World) -> Option<u64> {
    let was_hurt = |disk: &SimDisk| disk.first_stray_sync(0).is_some();
    match world.past.iter().any(was_hurt) {
        true => Some(world.first_op),
        false => world.disk.first_stray_sync(world.first_op).map(|op| op + 1),
    }
}

/// A stretch of ops of one disk, and the crashes that led to it.
struct Life<'a> {
    disk: &'a SimDisk,
    history: &'a History,
    ops: std::ops::RangeInclusive<u64>,
    crashes: Vec<Step>,
    /// Behind so many ops the disk may hold something else than it was told.
    damaged_from: Option<u64>,
}

impl<'a> Life<'a> {
    /// The ops of the last disk of a history.
    fn of(world: &'a World) -> Life<'a> {
        let last = world.ends.last().copied().unwrap_or_else(|| world.disk.op_count());
        Life {
            disk: &world.disk,
            history: &world.history,
            ops: world.first_op..=last,
            crashes: Vec::new(),
            damaged_from: damaged_from(world),
        }
    }

    fn is_damaged(&self, op: u64) -> bool {
        self.damaged_from.is_some_and(|from| op >= from)
    }
}

struct Cutter<'a> {
    script: &'a Script,
    effort: &'a Effort,
    world: &'a World,
    random: Random,
    figures: Figures,
}

/// A recovered image.
struct Recovered {
    engine: Engine,
    /// Which entry of the history it holds.
    found: usize,
    /// Op counts of its disk before and after the open.
    ops: std::ops::RangeInclusive<u64>,
}

impl Cutter<'_> {
    /// Crashes a life at every op, in every way.
    fn cut(&mut self, life: &Life<'_>) -> Result<(), Box<Failure>> {
        let mut known: HashMap<u64, usize> = HashMap::new();
        self.figures.depth = self.figures.depth.max(life.crashes.len() as u64 + 1);
        for op in life.ops.clone() {
            self.figures.ops += u64::from(life.crashes.is_empty());
            for (choice, image) in life.disk.images(op) {
                let crash = Step::Cut(Cut { ops_back: life.ops.end() - op, keeps: choice });
                self.count(life);
                let fingerprint = image.fingerprint();
                if let Some(&found) = known.get(&fingerprint) {
                    let state = life.history.state(found);
                    let verdict = life.history.explain_damaged(state, op, Loss::Unsynced);
                    verdict.map_err(|what| self.failure(life, op, &crash, what))?;
                    continue;
                }
                let found = self.examine(life, op, &crash, &image, Loss::Unsynced)?;
                known.extend(found.map(|found| (fingerprint, found)));
            }
            let killed = life.disk.kill(op);
            self.count(life);
            let crash = Step::Kill(life.ops.end() - op);
            self.examine(life, op, &crash, &killed, Loss::Nothing)?;
        }
        Ok(())
    }

    fn count(&mut self, life: &Life<'_>) {
        self.figures.images += 1;
        self.figures.of_recoveries += u64::from(!life.crashes.is_empty());
    }

    /// Opens an image and checks it; which entry of the history it holds, if that
    /// can be read. A share of the recoveries is cut again.
    fn examine(
        &mut self,
        life: &Life<'_>,
        op: u64,
        crash: &Step,
        image: &SimDisk,
        loss: Loss,
    ) -> Result<Option<usize>, Box<Failure>> {
        self.figures.opened += 1;
        let recovered = guarded(|| self.recover(life, op, image, loss))
            .map_err(|what| self.failure(life, op, crash, what))?;
        let Some(recovered) = recovered else { return Ok(None) };
        let Recovered { engine, found, ops } = recovered;
        let goes_on = self.random.one_in(self.effort.exercise_of);
        let cuts_again = match life.crashes.len() {
            0 => self.random.one_in(self.effort.second_cut_of),
            _ => self.random.one_in(self.effort.third_cut_of),
        };
        if goes_on {
            drop(engine);
            self.exercise(life, op, crash)?;
        } else {
            image.stop_at(0);
            drop(engine);
        }
        if cuts_again {
            // What a killed process left is durable only once it was reopened;
            // what a power cut left is durable already.
            let history = match loss {
                Loss::Unsynced => life.history.beginning_with(found),
                Loss::Nothing => {
                    let mut history = life.history.clone();
                    history.rewind(*ops.start());
                    history.reopened(found, *ops.end());
                    history
                }
            };
            let mut crashes = life.crashes.clone();
            crashes.push(crash.clone());
            let damaged_from = life.is_damaged(op).then_some(*ops.start());
            self.cut(&Life { disk: image, history: &history, ops, crashes, damaged_from })?;
        }
        Ok(Some(found))
    }

    /// Opens an image and compares all that it holds; `None` if damage, which is
    /// reported and may be there, is in the way.
    fn recover(
        &mut self,
        life: &Life<'_>,
        op: u64,
        image: &SimDisk,
        loss: Loss,
    ) -> Verdict<Option<Recovered>> {
        let is_damaged = life.is_damaged(op);
        let before = image.op_count();
        let image = self.script.settings.ready(image.clone());
        let engine = match Engine::open_in(image.env(), self.script.settings.engine_options()) {
            Ok(engine) => engine,
            Err(error) if is_damaged && blames_disk(&error) => {
                self.note_end_by_damage();
                return check_violations(&image).map(|()| None);
            }
            Err(error) => return Err(format!("cannot be opened: {error}")),
        };
        let after = image.op_count();
        let found = match reading::contents(&engine) {
            Ok(found) => found,
            Err(ReadFailure::Error(error)) if is_damaged && blames_disk(&error) => {
                self.note_end_by_damage();
                self.check_parts(&engine, &life.history.states_behind_damage(op, loss))?;
                image.stop_at(0);
                return check_violations(&image).map(|()| None);
            }
            Err(failure) => return Err(failure.to_string()),
        };
        let index = life.history.explain_damaged(&found, op, loss)?;
        match reading::check_everything(&engine, &found, &self.world.keys) {
            Ok(()) => {}
            // A get may need parts of a table that a scan does not.
            Err(ReadFailure::Error(error)) if is_damaged && blames_disk(&error) => {
                self.figures.tally.damage_reports += 1;
                self.check_parts(&engine, &[&found])?;
            }
            Err(failure) => return Err(failure.to_string()),
        }
        check_report(engine.recovery_report(), false, life.history.is_log_damaged(op))?;
        self.figures.tally.add_report(engine.recovery_report());
        check_violations(&image)?;
        Ok(Some(Recovered { engine, found: index, ops: before..=after }))
    }

    fn note_end_by_damage(&mut self) {
        self.figures.tally.damage_reports += 1;
        self.figures.tally.ended_by_damage += 1;
    }

    /// What can still be read belongs to one of `states`.
    fn check_parts(&self, engine: &Engine, states: &[&State]) -> Verdict {
        let parts = Parts::read(&self.world.keys, |name| match engine.get(name) {
            Ok(value) => Ok(Some(value.map(|value| value.to_vec()))),
            Err(error) if blames_disk(&error) => Ok(None),
            Err(error) => Err(format!("a get: {error}")),
        });
        parts?.check(states)
    }

    /// Lets a recovered engine work: what a crash left must not only be right,
    /// it must be a sound place to go on from.
    fn exercise(&mut self, life: &Life<'_>, op: u64, crash: &Step) -> Result<(), Box<Failure>> {
        let mut script = self.script_to(life, op, crash);
        let changes = vec![Change::Put(1, 30), Change::Delete(2), Change::Put(5, 900)];
        let batch = Batch { durability: kv_engine::Durability::Sync, changes, bare: false };
        let work = [Step::Snapshot, Step::Write(batch.clone()), Step::Settle, Step::Compact];
        script.steps.extend(work);
        script.steps.extend([Step::Write(batch), Step::Reopen, Step::Release]);
        let (_, run) = run_to_the_end(&script, false)?;
        self.figures.tally.add(&run.tally);
        Ok(())
    }

    /// The script whose last step is `crash`, behind op `op` of `life`.
    fn script_to(&self, life: &Life<'_>, op: u64, crash: &Step) -> Script {
        let mut script = self.script.clone();
        if life.crashes.is_empty() {
            // The steps behind the crash have no part in it.
            let (first, ends) = (self.world.first_step, &self.world.ends);
            let behind = ends.iter().skip(first).position(|&end| end >= op);
            let step = first + behind.unwrap_or(0);
            script.steps.truncate(step + 1);
            let end = ends.get(step).unwrap_or(life.ops.end());
            script.steps.push(moved(crash, end - op));
        } else {
            script.steps.truncate(self.world.ends.len());
            script.steps.extend(life.crashes.iter().cloned());
            script.steps.push(crash.clone());
        }
        script
    }

    fn failure(&self, life: &Life<'_>, op: u64, crash: &Step, what: String) -> Box<Failure> {
        let script = self.script_to(life, op, crash);
        let mut log = life.disk.history();
        log.truncate((op - life.ops.start()) as usize);
        log.drain(..log.len().saturating_sub(60));
        let step = script.steps.len() - 1;
        Box::new(Failure { script, step, what, log })
    }
}

/// What a mapped file must never see.
fn check_violations(disk: &SimDisk) -> Verdict {
    match disk.violations().into_iter().next() {
        Some(violation) => Err(violation),
        None => Ok(()),
    }
}

/// A crash so many ops before the end of the steps.
fn moved(crash: &Step, ops_back: u64) -> Step {
    match crash {
        Step::Cut(cut) => Step::Cut(Cut { ops_back, ..*cut }),
        _ => Step::Kill(ops_back),
    }
}

/// Cuts each of `scripts`, on as many threads as asked for; the figures are
/// the same for any number of them. `note` hears of each script that is done.
///
/// # Errors
/// The failure of the first script, in their order, that has one.
pub fn cut_all(
    scripts: &[Script],
    effort: &Effort,
    threads: usize,
    note: impl Fn(&Figures) + Sync,
) -> Result<Figures, Box<Failure>> {
    let outcomes = crate::parallel::map(scripts, threads, |script| {
        let outcome = cut_everywhere(script, effort);
        if let Ok(figures) = &outcome {
            note(figures);
        }
        outcome
    });
    let mut sum = Figures::default();
    for outcome in outcomes {
        sum.add(&outcome?);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ops are counted anew on each disk, so an earlier one has the same numbers.
    #[test]
    fn the_script_of_a_crash_leads_to_the_very_image() {
        let write = r#"{"write":{"durability":"os","changes":[{"put":[1,3000]}]}}"#;
        for begins in [r#"{"cut":{"keeps":"all"}}"#, r#"{"kill":3}"#, r#"{"get":1}"#] {
            let steps = ["{}", write, write, r#""flush""#, write, begins, write, write];
            let script: Script = steps.join("\n").parse().unwrap();
            let (world, _) = run_to_the_end(&script, false).unwrap();
            let life = Life::of(&world);
            let effort = &Effort::ORDINARY;
            let (random, figures) = (Random::new(1), Figures::default());
            let cutter = Cutter { script: &script, effort, world: &world, random, figures };
            for op in life.ops.clone() {
                for (keeps, image) in life.disk.images(op) {
                    let crash = Step::Cut(Cut { ops_back: 0, keeps });
                    let led_to = cutter.script_to(&life, op, &crash);
                    let (led_to, _) = run_to_the_end(&led_to, false).unwrap();
                    let fresh = led_to.disk.image(0, kv_env::CrashChoice::All);
                    let place = format!("{begins}, {keeps:?} behind op {op}");
                    assert_eq!(fresh.fingerprint(), image.fingerprint(), "{place}");
                }
            }
        }
    }
}
