//! A disk, an engine on it, and what both must be like: runs the steps of a
//! script and compares after each.
//!
//! Everything happens in one thread, and every choice is in the script, so a
//! script always runs the same way.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use kv_engine::{Engine, Error, KeyRange, Scan, Snapshot};
use kv_env::{Fault, SimDisk};

use crate::entry::Loss;
use crate::keys;
use crate::model::History;
use crate::panics;
use crate::reading::{self, ReadFailure};
use crate::settings::{MAX_OPS, Settings};
use crate::state::State;
use crate::step::{Direction, Step};
use crate::tally::Tally;
use crate::trouble::{DeviceRule, FaultRule};

/// Steps of background work after which it counts as endless.
const MAX_BACKGROUND_STEPS: u32 = 5_000;

/// What went wrong, as a sentence.
pub(crate) type Verdict<T = ()> = Result<T, String>;

/// What a reader holds on to while the world changes.
enum Held {
    Snapshot(Snapshot, Arc<State>),
    /// The rest of a scan, and what it must still show.
    Scan(Box<Scan>, State),
}

/// A running history.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) disk: SimDisk,
    pub(crate) history: History,
    /// Every key that was ever written.
    pub(crate) keys: BTreeSet<u16>,
    /// Number of the first op of the disk's log.
    pub(crate) first_op: u64,
    /// Op counts of the disk after each step.
    pub(crate) ends: Vec<u64>,
    pub(crate) tally: Tally,
    /// Disks that were left behind by a power cut or a kill.
    pub(crate) past: Vec<SimDisk>,
    pub(crate) engine: Option<Engine>,
    held: Vec<Held>,
    pub(crate) leeway: Leeway,
    /// Damage has left nothing that a history could go on with.
    pub(crate) is_over: bool,
    /// An open has told what the disk holds, and the history counts its ops.
    pub(crate) is_settled: bool,
    /// The step that began the disk, or 0.
    pub(crate) first_step: usize,
    /// Calls of the disks that were left behind.
    past_calls: u64,
    /// Op count of the disk up to which its syncs were looked at.
    watched: u64,
}

/// What the engine is to be forgiven, because of what the steps did to it.
#[derive(Debug, Default)]
pub(crate) struct Leeway {
    /// Faults wait on the disk that a step has put there.
    pub(crate) has_faults: bool,
    /// Calls of the disk may fail, or have failed since the last open.
    pub(crate) may_fail: bool,
    /// The engine has said that it writes no more.
    pub(crate) is_poisoned: bool,
    /// Reads may see what is not there, or have since the last open.
    pub(crate) misreads: bool,
    /// The device has stored something else than it was told, for good.
    pub(crate) is_damaged: bool,
}

impl World {
    /// An empty database. The error is what the first open did wrong.
    pub(crate) fn new(settings: &Settings) -> Verdict<World> {
        let mut world = World {
            settings: settings.clone(),
            disk: settings.disk(),
            history: History::new(),
            keys: BTreeSet::new(),
            first_op: 0,
            ends: Vec::new(),
            tally: Tally::default(),
            past: Vec::new(),
            engine: None,
            held: Vec::new(),
            leeway: Leeway::default(),
            is_over: false,
            is_settled: false,
            first_step: 0,
            past_calls: 0,
            watched: 0,
        };
        world.leeway.may_fail = world.is_armed();
        world.arm();
        world.open(0, Loss::Unsynced, false)?;
        Ok(world)
    }

    /// Runs one step and checks what it promises.
    pub(crate) fn run(&mut self, step: &Step) -> Verdict {
        if self.is_over {
            self.ends.push(self.disk.op_count());
            return Ok(());
        }
        self.do_step(step)?;
        if self.disk.is_stopped() {
            self.die()?;
        }
        if let Some(violation) = self.disk.violations().first() {
            return Err(violation.clone());
        }
        self.note_syncs();
        self.ends.push(self.disk.op_count());
        Ok(())
    }

    fn do_step(&mut self, step: &Step) -> Verdict {
        match step {
            Step::Write(batch) => self.write(batch),
            Step::Crowd(batches) => self.crowd(batches),
            Step::Update { key, batch, disturbed } => self.update(*key, batch, *disturbed),
            Step::Get(key) => {
                let key = keys::key(*key);
                self.read(|engine, state| reading::check_get(engine, state, &key))
            }
            Step::Scan(from, to, direction) => self
                .read(|engine, state| reading::check_range(engine, state, *from, *to, *direction)),
            Step::Snapshot => {
                self.held.push(Held::Snapshot(self.engine().snapshot(), self.visible()));
                Ok(())
            }
            Step::Iterate(entries) => self.iterate(*entries),
            Step::Release => self.release(),
            Step::Background(steps) => self.background(*steps).map(|_| ()),
            Step::Settle => self.settle(),
            Step::Flush => self.flush(),
            Step::Compact => {
                let outcome = self.attempt(Engine::compact);
                self.note_durable(outcome, "compact")?;
                self.read(|engine, _| Ok(engine.verify()?))
            }
            Step::CompactRange(from, to) => {
                let (from, to) = (keys::key(*from.min(to)), keys::key(*from.max(to)));
                let range = KeyRange::from_bounds(&from[..]..&to[..]);
                let outcome = self.attempt(|engine| engine.compact_range(range));
                self.note_durable(outcome, "compact_range")
            }
            Step::Reopen => self.reopen(),
            Step::Kill(ops_back) => self.kill(*ops_back),
            Step::Cut(cut) => self.cut(cut),
            Step::Fault(rule) => self.fault(rule),
            Step::Device(rule) => self.device(rule),
            Step::ClearFaults => self.clear_faults(),
            Step::Capacity(bytes) => self.limit(*bytes),
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("the engine is open between steps")
    }

    fn visible(&self) -> Arc<State> {
        Arc::clone(self.history.visible())
    }

    /// Makes a call of the engine that may panic because a fault says so.
    pub(crate) fn attempt<T>(
        &self,
        call: impl FnOnce(&Engine) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let engine = self.engine();
        panics::caught(|| call(engine), || engine.stats().poisoned)
    }

    /// As [`attempt`](World::attempt), for reads that are compared.
    pub(crate) fn attempt_read<T>(
        &self,
        read: impl FnOnce(&Engine) -> Result<T, ReadFailure>,
    ) -> Result<T, ReadFailure> {
        let mut wrong = None;
        let answer = self.attempt(|engine| match read(engine) {
            Ok(answer) => Ok(Some(answer)),
            Err(ReadFailure::Error(error)) => Err(error),
            Err(ReadFailure::Wrong(what)) => {
                wrong = Some(what);
                Ok(None)
            }
        })?;
        answer.ok_or_else(|| ReadFailure::Wrong(wrong.unwrap_or_default()))
    }

    /// Reads and compares; an error is no failure while calls may fail.
    pub(crate) fn read(
        &mut self,
        check: impl FnOnce(&Engine, &State) -> Result<(), ReadFailure>,
    ) -> Verdict {
        let state = self.visible();
        match self.attempt_read(|engine| check(engine, &state)) {
            Err(ReadFailure::Error(error)) => {
                self.forgive("a read", Err::<(), _>(error)).map(|_| ())
            }
            Err(wrong) => Err(wrong.to_string()),
            Ok(()) => Ok(()),
        }
    }

    /// Passes an answer on. An error becomes `None` where it is in order.
    pub(crate) fn forgive<T>(
        &mut self,
        what: &str,
        answer: Result<T, Error>,
    ) -> Verdict<Option<T>> {
        let error = match answer {
            Ok(answer) => return Ok(Some(answer)),
            Err(error) => error,
        };
        self.note_syncs();
        let leeway = &mut self.leeway;
        let blames_disk = blames_disk(&error);
        let is_in_order = match blames_disk {
            true => leeway.misreads || leeway.is_damaged,
            false => leeway.may_fail,
        };
        if !is_in_order {
            return Err(format!("{what}: {error}"));
        }
        leeway.is_poisoned |= matches!(error, Error::Poisoned { .. });
        self.tally.errors += 1;
        self.tally.damage_reports += u64::from(blames_disk);
        self.tally.panics += u64::from(panics::is_injected(&error));
        Ok(None)
    }

    /// After a call that makes all writes durable if it succeeds.
    fn note_durable(&mut self, outcome: Result<(), Error>, what: &str) -> Verdict {
        if self.forgive(what, outcome)?.is_some() {
            if self.leeway.is_poisoned {
                return Err(format!("{what} succeeded after the engine had stopped writing"));
            }
            self.history.all_durable(self.disk.op_count());
        }
        Ok(())
    }

    fn flush(&mut self) -> Verdict {
        let outcome = self.attempt(Engine::flush);
        self.note_durable(outcome, "flush")
    }

    fn iterate(&mut self, entries: u16) -> Verdict {
        let mut expected = State::clone(&self.visible());
        let scan = self.attempt(|engine| engine.scan(KeyRange::all()));
        let Some(mut scan) = self.forgive("a scan", scan)? else { return Ok(()) };
        for _ in 0..entries {
            let advanced = self.attempt(|_| scan.advance());
            let Some(has_entry) = self.forgive("an iterator", advanced)? else { return Ok(()) };
            let first = expected.pop_first();
            let found = has_entry.then(|| (scan.key().into(), (&scan.value()[..]).into()));
            if first != found {
                return Err(format!("an iterator shows {found:?}, not {first:?}"));
            }
        }
        self.held.push(Held::Scan(Box::new(scan), expected));
        Ok(())
    }

    /// Snapshots and iterators show what they showed when they were made.
    fn release(&mut self) -> Verdict {
        for held in std::mem::take(&mut self.held) {
            self.read(|_, _| match held {
                Held::Snapshot(snapshot, state) => {
                    let found =
                        reading::collect(snapshot.scan(KeyRange::all()), Direction::Backward);
                    reading::compare("an old snapshot", &state, found)
                }
                Held::Scan(scan, rest) => {
                    let found = reading::collect(*scan, Direction::Forward);
                    reading::compare("an old iterator", &rest, found)
                }
            })?;
        }
        Ok(())
    }

    /// Up to so many steps of background work; false once there is none left.
    fn background(&mut self, steps: u32) -> Verdict<bool> {
        for _ in 0..steps {
            let worked = self.attempt(Engine::run_background_step);
            match self.forgive("background work", worked)? {
                Some(true) => {}
                Some(false) | None => return Ok(false),
            }
        }
        Ok(true)
    }

    fn settle(&mut self) -> Verdict {
        let errors = self.tally.errors;
        if self.background(MAX_BACKGROUND_STEPS)? {
            return Err(format!("work is left after {MAX_BACKGROUND_STEPS} background steps"));
        }
        match errors == self.tally.errors {
            true => self.end_leniency(),
            false => Ok(()),
        }
    }

    /// All work was done, without an error: where nothing is made to fail any
    /// more, all has healed, unless writing has ended.
    fn end_leniency(&mut self) -> Verdict {
        let stats = self.engine().stats();
        let Leeway { has_faults, misreads, is_damaged, .. } = self.leeway;
        let may_fail = has_faults || misreads || is_damaged || self.is_armed() || stats.poisoned;
        if stats.disk_full && !may_fail {
            return Err("the disk has space, and the engine takes it for full".into());
        }
        self.leeway.may_fail &= may_fail;
        Ok(())
    }

    fn fault(&mut self, rule: &FaultRule) -> Verdict {
        self.disk.inject(rule.fault());
        self.leeway.has_faults = true;
        self.leeway.may_fail = true;
        Ok(())
    }

    /// Tells the history of the syncs that have failed or gone astray since the
    /// last look.
    pub(crate) fn note_syncs(&mut self) {
        if let Some(op) = self.disk.first_failed_sync(self.watched) {
            self.history.doubt(op + 1);
        }
        for stray in self.disk.stray_syncs(self.watched) {
            self.history.damage(&stray);
            self.leeway.is_damaged = true;
        }
        self.watched = self.disk.op_count();
    }

    /// From here on an error is in order where the device is to blame, and a
    /// wrong answer is not (I4).
    fn device(&mut self, rule: &DeviceRule) -> Verdict {
        self.disk.inject_device(rule.fault());
        let leeway = &mut self.leeway;
        leeway.has_faults = true;
        leeway.may_fail = true;
        leeway.misreads |= !rule.damages();
        Ok(())
    }

    pub(crate) fn clear_faults(&mut self) -> Verdict {
        self.disk.clear_faults();
        self.disk.set_capacity(None);
        self.leeway.has_faults = false;
        self.arm();
        Ok(())
    }

    /// Calls of all disks so far.
    pub(crate) fn calls(&self) -> u64 {
        self.past_calls + self.disk.call_count()
    }

    /// Whether the one call of the settings is still to come.
    pub(crate) fn is_armed(&self) -> bool {
        self.settings.failing_call.is_some_and(|call| call.number >= self.calls())
    }

    /// Lets the one call of the settings fail, if it is still to come.
    fn arm(&self) {
        if let Some(call) = self.settings.failing_call.filter(|_| self.is_armed()) {
            let after = call.number - self.calls();
            self.disk.inject(Fault::new(call.failure).after(after).times(1));
        }
    }

    fn limit(&mut self, bytes: u64) -> Verdict {
        let listed = self.disk.fs().list();
        let Some(names) = self.forgive("a list", listed)? else { return Ok(()) };
        let used: u64 = names.iter().map(|entry| entry.len).sum();
        self.disk.set_capacity(Some(used + bytes));
        self.leeway.has_faults = true;
        self.leeway.may_fail = true;
        Ok(())
    }

    /// Leaves the disk, whose engine must do nothing more to it, for one whose
    /// log begins with op `first_op`.
    pub(crate) fn move_to(&mut self, disk: SimDisk, first_op: u64) {
        self.stop();
        self.past_calls += self.disk.call_count();
        let left = std::mem::replace(&mut self.disk, self.settings.ready(disk));
        self.past.push(left);
        (self.first_op, self.watched) = (first_op, first_op);
        self.first_step = self.ends.len();
        let is_damaged = self.leeway.is_damaged;
        self.leeway = Leeway { is_damaged, ..Leeway::default() };
        self.leeway.may_fail = is_damaged || self.is_armed();
        self.arm();
    }

    /// The machine has stopped: it does not come to an end, or the process died
    /// of a map that cannot be read.
    fn die(&mut self) -> Verdict {
        let ops = self.disk.op_count() - self.first_op;
        if ops >= MAX_OPS {
            return Err("the engine does not come to an end: too many ops of the disk".into());
        }
        self.tally.deaths += 1;
        self.kill(0)
    }

    /// Ends the engine without letting it touch the disk.
    pub(crate) fn stop(&mut self) -> Range<u64> {
        let ops = self.first_op..self.disk.op_count();
        self.disk.stop_at(0);
        self.held.clear();
        if let Some(engine) = self.engine.take() {
            self.tally.add_engine(&engine.stats());
        }
        ops
    }
}

/// True for errors that say what is stored is wrong.
pub(crate) fn blames_disk(error: &Error) -> bool {
    matches!(error, Error::Corruption { .. } | Error::Unsupported { .. })
}
