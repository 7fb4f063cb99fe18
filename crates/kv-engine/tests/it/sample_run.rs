//! A run of writes, flushes and a compaction whose state is known after each
//! write, and what must be left of it after a failure.

use kv_engine::{Engine, Error, Result};
use kv_env::{CrashChoice, SimDisk};

use crate::support::{contents, open, tiny};

pub(crate) type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Writes that a run makes.
pub(crate) const WRITES: u64 = 30;

/// The write of a number: few keys, so that later writes hide earlier ones.
pub(crate) fn write(engine: &Engine, number: u64) -> Result<()> {
    let mut batch = kv_engine::WriteBatch::new();
    batch.put(b"counter", &number.to_be_bytes())?;
    let key = [b'k', (number * 7 % 5) as u8];
    if number % 4 == 3 {
        batch.delete(&key)?
    } else {
        batch.put(&key, &number.to_le_bytes())?
    }
    engine.write(batch, kv_engine::Durability::Sync).map(|_| ())
}

/// The contents after each number of writes.
pub(crate) fn states() -> Vec<Entries> {
    let engine = open(&SimDisk::new(0), tiny());
    let mut states = vec![contents(&engine)];
    for number in 1..=WRITES {
        write(&engine, number).unwrap();
        states.push(contents(&engine));
    }
    states
}

/// How far a run came.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) begun: u64,
    pub(crate) acknowledged: u64,
    /// Calls that were refused for want of space or memory.
    pub(crate) refusals: u64,
    /// The first error, and what it was the answer to.
    pub(crate) failure: Option<(&'static str, Error)>,
}

impl Progress {
    /// Makes a call. If the disk was full or memory was short for a moment, the
    /// background finds that out, and the call must succeed without a new open.
    fn make(&mut self, engine: &Engine, name: &'static str, call: impl Fn() -> Result<()>) -> bool {
        let mut outcome = call();
        let passes = |error: &Error| error.is_out_of_space() || error.is_out_of_resources();
        if outcome.as_ref().is_err_and(passes) {
            self.refusals += 1;
            outcome = while_work(engine).and_then(|()| call());
        }
        if let Err(error) = outcome {
            self.failure = Some((name, error));
            return false;
        }
        true
    }
}

/// Writes, flushes and compacts until something fails.
pub(crate) fn run(engine: &Engine) -> Progress {
    let mut progress = Progress::default();
    for number in 1..=WRITES {
        progress.begun = number;
        if !progress.make(engine, "write", || write(engine, number)) {
            return progress;
        }
        progress.acknowledged = number;
        let went_on = match number {
            12 | 24 => progress.make(engine, "background work", || while_work(engine)),
            17 => progress.make(engine, "flush", || engine.flush()),
            28 => progress.make(engine, "compact", || engine.compact()),
            _ => true,
        };
        if !went_on {
            return progress;
        }
    }
    progress.make(engine, "close", || engine.close());
    progress
}

pub(crate) fn while_work(engine: &Engine) -> Result<()> {
    while engine.run_background_step()? {}
    Ok(())
}

/// What a database on `disk` must look like after `progress`.
fn assert_recovers(disk: &SimDisk, states: &[Entries], progress: &Progress, what: &str) {
    let engine = Engine::open_in(disk.env(), tiny());
    let engine = engine.unwrap_or_else(|error| panic!("{what}: cannot be opened: {error}"));
    let found = contents(&engine);
    let allowed = progress.acknowledged..=progress.begun;
    let is_allowed = allowed.clone().any(|number| states[number as usize] == found);
    assert!(is_allowed, "{what}: not a state after {allowed:?} writes: {found:?}");
}

/// Opens what any of some power cuts, and a kill, would leave.
pub(crate) fn assert_survives(disk: &SimDisk, states: &[Entries], progress: &Progress, what: &str) {
    let choices = [CrashChoice::None, CrashChoice::All, CrashChoice::Seeded(1)];
    for choice in choices {
        let what = format!("{what}, then {choice:?}");
        assert_recovers(&disk.crash(choice), states, progress, &what);
    }
    let what = format!("{what}, then a kill");
    assert_recovers(&disk.kill(disk.op_count()), states, progress, &what);
}
