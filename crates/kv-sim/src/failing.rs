//! Failing every call of a history in turn, with every error: after each, reads
//! are right or refused, and the next open finds what was promised.

use kv_env::{CrashChoice, Failure};

use crate::random::mix;
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
    /// Runs: a call and an error each.
    pub runs: u64,
}

impl FailFigures {
    /// Errors that each call is made to report.
    pub const ERRORS: usize = FAILURES.len();

    /// Adds up two accounts.
    pub fn add(&mut self, other: &FailFigures) {
        self.scripts += other.scripts;
        self.calls += other.calls;
        self.runs += other.runs;
    }
}

/// Runs `script` once for each of its calls, or for one in `every` of them, and
/// each error, with that call failing.
///
/// # Errors
/// The first broken promise, as a script that shows it.
pub fn fail_everywhere(script: &Script, every: u64) -> Result<FailFigures, Box<Broken>> {
    let calls = run(&ending(script, 0))?.calls;
    let mut figures = FailFigures { scripts: 1, calls, runs: 0 };
    // Other calls for other scripts, should only a share be tried.
    for number in (mix(script.settings.seed, every) % every..calls).step_by(every as usize) {
        for (kind, failure) in FAILURES.into_iter().enumerate() {
            let mut failing = ending(script, mix(number, kind as u64));
            failing.settings.failing_call = Some(FailingCall { number, failure });
            run(&failing)?;
            figures.runs += 1;
        }
    }
    Ok(figures)
}

/// The script with an end that asks what is left: after a restart, or after a
/// power cut.
fn ending(script: &Script, seed: u64) -> Script {
    let mut script = script.clone();
    let crash = match seed % 2 {
        0 => Step::Reopen,
        _ => Step::Cut(Cut { ops_back: 0, keeps: CrashChoice::Seeded(seed) }),
    };
    script.steps.extend([Step::ClearFaults, crash, Step::Settle, Step::Reopen]);
    script
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
