//! Running one script, and what is told of a run that went wrong.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::panics;
use crate::script::{Script, line_of};
use crate::tally::Tally;
use crate::world::{Verdict, World};

/// How much of the op log a failure shows.
const SHOWN_OPS: usize = 60;

/// An account of a run in which nothing went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Run {
    /// Ops of all its disks.
    pub ops: u64,
    /// Calls of all its disks that could have been made to fail.
    pub calls: u64,
    /// Which paths of the engine it has taken.
    pub tally: Tally,
    /// Each step and each op of the disk, in order, if they were asked for.
    pub log: Vec<String>,
}

/// A broken promise, with the history that shows it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What was run.
    pub script: Script,
    /// The step that found it, counted from 0; the number of steps if it was
    /// found behind the last one.
    pub step: usize,
    /// What was promised and not kept.
    pub what: String,
    /// The last steps and ops.
    pub log: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "step {}: {}", self.step, self.what)?;
        writeln!(formatter, "--- settings: {:?}", self.script.settings)?;
        writeln!(formatter, "--- script:\n{}--- the last ops:", self.script)?;
        for line in &self.log {
            writeln!(formatter, "{line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// Runs `script` and checks every promise of the engine on the way.
///
/// # Errors
/// The first promise that was broken; a panic of the engine is one. The same
/// script always gives the same outcome.
pub fn run(script: &Script) -> Result<Run, Box<Failure>> {
    run_to_the_end(script, false).map(|(_, run)| run)
}

/// As [`run`], and keeps a log that a person can read.
///
/// # Errors
/// As [`run`].
pub fn run_with_log(script: &Script) -> Result<Run, Box<Failure>> {
    run_to_the_end(script, true).map(|(_, run)| run)
}

/// Runs `script` and hands over the world as its last step left it, with the
/// engine stopped.
pub(crate) fn run_to_the_end(
    script: &Script,
    with_log: bool,
) -> Result<(World, Run), Box<Failure>> {
    let fail = |step, what, log| Err(Box::new(Failure { script: script.clone(), step, what, log }));
    let mut world = match guarded(|| World::new(&script.settings)) {
        Ok(world) => world,
        Err(what) => return fail(0, what, Vec::new()),
    };
    let mut log = Log::new(with_log);
    for (index, step) in script.steps.iter().enumerate() {
        log.begin(&world, || format!("step {index}: {}", line_of(step)));
        if let Err(what) = guarded(|| world.run(step)) {
            let _ = guarded(|| {
                world.stop();
                Ok(())
            });
            return fail(index, what, last_ops(&world));
        }
    }
    log.begin(&world, || "end".into());
    let live = world.stop();
    let past: u64 = world.past.iter().map(kv_env::SimDisk::op_count).sum();
    let run =
        Run { ops: past + live.end, calls: world.calls(), tally: world.tally, log: log.lines };
    Ok((world, run))
}

/// A panic is an outcome like any other.
pub(crate) fn guarded<T>(action: impl FnOnce() -> Verdict<T>) -> Verdict<T> {
    catch_unwind(AssertUnwindSafe(action))
        .unwrap_or_else(|panic| Err(format!("the engine panicked: {}", panics::message(&*panic))))
}

fn last_ops(world: &World) -> Vec<String> {
    let mut lines = world.disk.history();
    lines.drain(..lines.len().saturating_sub(SHOWN_OPS));
    lines
}

/// Interleaves steps and ops.
struct Log {
    is_wanted: bool,
    lines: Vec<String>,
    disks: usize,
    shown: usize,
}

impl Log {
    fn new(is_wanted: bool) -> Log {
        Log { is_wanted, lines: Vec::new(), disks: 0, shown: 0 }
    }

    /// Adds the ops since the last call, then a line for what comes next.
    fn begin(&mut self, world: &World, line: impl FnOnce() -> String) {
        if !self.is_wanted {
            return;
        }
        while self.disks < world.past.len() {
            self.add_ops(world.past[self.disks].history());
            self.lines.push("    a new disk".into());
            (self.disks, self.shown) = (self.disks + 1, 0);
        }
        self.add_ops(world.disk.history());
        self.lines.push(line());
    }

    fn add_ops(&mut self, history: Vec<String>) {
        let new = history.iter().skip(self.shown);
        self.lines.extend(new.map(|op| format!("    {op}")));
        self.shown = history.len();
    }
}
