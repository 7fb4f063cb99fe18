//! Power cuts, enumerated: a workload that reaches every code path that writes
//! is cut at every operation, with every image that the disk may be left in.
//!
//! The recovered state must be the state after some number of batches, in
//! order, no fewer than were acknowledged and no more than were begun. Then the
//! recovery itself is cut at every operation, and must lead to the same state.

use std::collections::BTreeMap;

use kv_engine::{Durability, Engine, Options, WriteBatch};
use kv_env::{DirectoryModel, SimDisk, SimOptions};

use crate::support::{contents, open, settle, tiny};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// What was asked of the engine, and when.
struct History {
    /// The state after each number of batches; the first is empty.
    states: Vec<State>,
    /// Op count when each batch was begun.
    begun: Vec<u64>,
    /// Op count when each batch was acknowledged as durable.
    acknowledged: Vec<Option<u64>>,
}

impl History {
    fn new() -> History {
        History { states: vec![State::new()], begun: Vec::new(), acknowledged: Vec::new() }
    }

    /// Writes a batch that leaves its number behind, and notes what happened.
    fn write(&mut self, disk: &SimDisk, engine: &Engine, changes: &[(u8, bool)], sync: bool) {
        let number = self.states.len() as u64;
        let mut state = self.states.last().expect("there is a first state").clone();
        let mut batch = WriteBatch::new();
        let counter = (b"counter".to_vec(), number.to_be_bytes().to_vec());
        batch.put(&counter.0, &counter.1).unwrap();
        state.insert(counter.0, counter.1);
        for &(key, is_put) in changes {
            let key = vec![b'k', key];
            if is_put {
                let value = format!("{number}-").repeat(1 + key[1] as usize % 40).into_bytes();
                batch.put(&key, &value).unwrap();
                state.insert(key, value);
            } else {
                batch.delete(&key).unwrap();
                state.remove(&key);
            }
        }
        self.begun.push(disk.op_count());
        let durability = if sync { Durability::Sync } else { Durability::Os };
        engine.write(batch, durability).unwrap();
        self.acknowledged.push(sync.then(|| disk.op_count()));
        self.states.push(state);
    }

    /// An error unless `found` is a state that a cut after `op` ops may leave.
    fn check(&self, found: &State, op: u64, what: &str) -> Result<(), String> {
        let number = found
            .get(b"counter".as_slice())
            .map_or(0, |value| u64::from_be_bytes(value.as_slice().try_into().unwrap()));
        let at_least = self
            .acknowledged
            .iter()
            .rposition(|acknowledged| acknowledged.is_some_and(|at| at <= op))
            .map_or(0, |index| index + 1);
        let at_most = self.begun.iter().filter(|&&begun| begun < op).count();
        if !(at_least..=at_most).contains(&(number as usize)) {
            return Err(format!(
                "{what}: batch {number} is the last, {at_least} were acknowledged, {at_most} begun"
            ));
        }
        if found != &self.states[number as usize] {
            return Err(format!("{what}: not the state after {number} batches: {found:?}"));
        }
        Ok(())
    }
}

fn state_of(engine: &Engine) -> State {
    contents(engine).into_iter().collect()
}

/// Puts, deletes, freezes, segment switches, flushes, compactions, trivial
/// moves, installs, a close and a reopening.
fn workload(disk: &SimDisk, options: &Options, sync_every: u64) -> History {
    let mut history = History::new();
    let mut engine = open(disk, options.clone());
    for number in 0..36u64 {
        let key = (number * 7 % 11) as u8;
        let changes = [(key, true), (key + 1, number % 3 != 0), (key / 2, number % 5 != 0)];
        history.write(disk, &engine, &changes, number % sync_every == 0);
        match number {
            8 | 16 => settle(&engine),
            20 => engine.flush().unwrap(),
            26 => engine.compact().unwrap(),
            30 => {
                engine.close().unwrap();
                engine = open(disk, options.clone());
            }
            _ => {}
        }
    }
    settle(&engine);
    history
}

/// Opens what a cut has left.
fn reopen(image: &SimDisk, options: &Options, what: &str) -> Result<State, String> {
    let engine = Engine::open_in(image.env(), options.clone())
        .map_err(|error| format!("{what}: cannot be opened: {error}"))?;
    let found = state_of(&engine);
    match image.violations().first() {
        Some(violation) => Err(format!("{what}: {violation}")),
        None => Ok(found),
    }
}

/// Cuts the power after each of the ops and checks every image; returns how
/// many there were. Every `depth_two_every`-th image also has its recovery cut.
fn enumerate(
    disk: &SimDisk,
    options: &Options,
    history: &History,
    depth_two_every: u64,
) -> Result<u64, String> {
    let mut images = 0;
    for op in 0..=disk.op_count() {
        for (choice, image) in disk.images(op) {
            images += 1;
            let what = format!("cut after op {op}, {choice:?}");
            let before = image.op_count();
            let found = reopen(&image, options, &what)?;
            history.check(&found, op, &what)?;
            if images % depth_two_every == 0 {
                images += cut_recovery(&image, before, options, &found, &what)?;
            }
        }
    }
    Ok(images)
}

/// Cuts the power at every op of a recovery that has run on `disk`.
fn cut_recovery(
    disk: &SimDisk,
    from: u64,
    options: &Options,
    found: &State,
    what: &str,
) -> Result<u64, String> {
    let mut images = 0;
    for op in from..=disk.op_count() {
        for (choice, image) in disk.images(op) {
            images += 1;
            let what = format!("{what}, then recovery cut after op {op}, {choice:?}");
            let again = reopen(&image, options, &what);
            if again.as_ref() != Ok(found) {
                let history = disk.history().join("\n");
                return Err(format!("{what}: recovery leads to {again:?}\n{history}"));
            }
        }
    }
    Ok(images)
}

fn run(model: DirectoryModel, sync_every: u64, depth_two_every: u64) {
    let disk =
        SimDisk::with_options(7, SimOptions { directory_model: model, ..SimOptions::default() });
    let options = tiny();
    let history = workload(&disk, &options, sync_every);
    let images = enumerate(&disk, &options, &history, depth_two_every)
        .unwrap_or_else(|error| panic!("{error}\n{}", disk.history().join("\n")));
    println!("{images} crash images of {} ops", disk.op_count());
}

#[test]
fn every_cut_of_synced_writes_recovers_on_a_weak_directory() {
    run(DirectoryModel::Weak, 1, 397);
}

#[test]
fn every_cut_of_mixed_writes_recovers_on_an_ordered_directory() {
    run(DirectoryModel::Ext4, 4, 397);
}

/// The negative control: a disk that lies about syncs must be caught.
#[test]
fn a_lying_disk_is_caught() {
    let disk = SimDisk::new(7);
    disk.set_lying_sync(true);
    let options = tiny();
    let history = workload(&disk, &options, 1);
    let outcome = enumerate(&disk, &options, &history, u64::MAX);
    assert!(outcome.is_err(), "losses on a lying disk must not go unnoticed");
}
