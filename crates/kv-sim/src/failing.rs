//! Failing every call of a history in turn, with every error: after each, reads
//! are right or refused, and the next open finds what was promised.
//!
//! To cut the power at every op of each of these runs as well would be some
//! billions of images. [`with_a_failing_call`] draws one call and one error of a
//! history, for [`cut_everywhere`](crate::cut_everywhere).

use kv_env::{CrashChoice, Failure};

use crate::random::{Random, mix};
use crate::run::{self, Failure as Broken, run};
use crate::script::Script;
use crate::step::{Cut, Step};
use crate::trouble::FailingCall;

/// What every call is made to report.
const FAILURES: [Failure; 6] = [
    Failure::Device,
    Failure::NoSpace,
    Failure::Interrupted,
    Failure::TooManyOpenFiles,
    Failure::OutOfMemory,
    Failure::Panic,
];

/// What was done, to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FailFigures {
    /// Histories whose calls were made to fail.
    pub scripts: u64,
    /// Their calls.
    pub calls: u64,
    /// Runs: a call and an error each, which happened.
    pub runs: u64,
    /// Runs in which the engine said so, with more errors than the script has by
    /// itself; in the others it could do without.
    pub told: u64,
}

impl FailFigures {
    /// Errors that each call is made to report.
    pub const ERRORS: usize = FAILURES.len();

    /// Adds up two accounts.
    pub fn add(&mut self, other: &FailFigures) {
        self.scripts += other.scripts;
        self.calls += other.calls;
        self.runs += other.runs;
        self.told += other.told;
    }
}

/// Runs `script` once for each of its calls, or for one in `every` of them, and
/// each error, with that call failing.
///
/// # Errors
/// The first broken promise, as a script that shows it.
pub fn fail_everywhere(script: &Script, every: u64) -> Result<FailFigures, Box<Broken>> {
    let before_the_end = run(script)?.calls;
    let honest = run(&ending(script, Step::Reopen))?;
    let calls = honest.calls;
    let mut figures = FailFigures { scripts: 1, calls, ..FailFigures::default() };
    for number in tried(script, calls, every) {
        for (kind, failure) in FAILURES.into_iter().enumerate() {
            let seed = mix(number, kind as u64);
            // Calls of the end itself are there as they were counted only if it
            // is the same end.
            let crash = match seed.is_multiple_of(2) || number >= before_the_end {
                true => Step::Reopen,
                false => Step::Cut(Cut { ops_back: 0, keeps: CrashChoice::Seeded(seed) }),
            };
            let mut failing = ending(script, crash);
            failing.settings.failing_call = Some(FailingCall { number, failure });
            let outcome = run(&failing)?;
            if outcome.calls <= number {
                return Err(not_made(failing, number, outcome.calls));
            }
            figures.runs += 1;
            figures.told += u64::from(outcome.tally.errors > honest.tally.errors);
        }
    }
    Ok(figures)
}

/// The numbers of the calls that are made to fail. Other calls for other
/// scripts, should only a share be tried.
fn tried(script: &Script, calls: u64, every: u64) -> impl Iterator<Item = u64> {
    (mix(script.settings.seed, every) % every..calls).step_by(every as usize)
}

/// How many runs [`fail_all`] does of `scripts`.
///
/// # Errors
/// A script that breaks a promise although no call fails.
pub fn count_runs(scripts: &[Script], every: u64) -> Result<u64, Box<Broken>> {
    let mut runs = 0;
    for script in scripts {
        let calls = run(&ending(script, Step::Reopen))?.calls;
        runs += (tried(script, calls, every).count() * FAILURES.len()) as u64;
    }
    Ok(runs)
}

/// A run in which nothing was made to fail shows nothing.
fn not_made(script: Script, number: u64, calls: u64) -> Box<Broken> {
    let what = format!("call {number} was to fail and was not made: there were {calls}");
    Box::new(Broken { step: script.steps.len(), script, what, log: Vec::new() })
}

/// The script with an end that asks what is left, after a restart or a crash.
fn ending(script: &Script, crash: Step) -> Script {
    let mut script = script.clone();
    script.steps.extend([Step::ClearFaults, crash, Step::Settle, Step::Reopen]);
    script
}

/// The script with one of its calls failing; `seed` draws which one and how.
///
/// # Errors
/// The script breaks a promise although no call fails.
pub fn with_a_failing_call(script: &Script, seed: u64) -> Result<Script, Box<Broken>> {
    let mut random = Random::new(mix(script.settings.seed, seed));
    let number = random.below(run(script)?.calls);
    let failure = random.pick(&FAILURES);
    let mut failing = script.clone();
    failing.about = format!("{}, call {number} fails: {failure:?}", script.about);
    failing.settings.failing_call = Some(FailingCall { number, failure });
    Ok(failing)
}

/// Fails the calls of each of `scripts`, on as many threads as asked for.
/// `note` hears of each script that is done.
///
/// # Errors
/// The failure of the first script, in their order, that has one.
pub fn fail_all(
    scripts: &[Script],
    every: u64,
    threads: usize,
    note: impl Fn(&FailFigures) + Sync,
) -> Result<FailFigures, Box<run::Failure>> {
    let outcomes = crate::parallel::map(scripts, threads, |script| {
        let outcome = fail_everywhere(script, every);
        if let Ok(figures) = &outcome {
            note(figures);
        }
        outcome
    });
    let mut sum = FailFigures::default();
    for outcome in outcomes {
        sum.add(&outcome?);
    }
    Ok(sum)
}
