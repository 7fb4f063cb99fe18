//! A disk, an engine on it, and what both must be like: runs the steps of a
//! script and compares after each.
//!
//! Everything happens in one thread, and every choice is in the script, so a
//! script always runs the same way.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use kv_engine::{Engine, Error, KeyRange, RecoveryReport, Scan, Snapshot};
use kv_env::SimDisk;

use crate::keys;
use crate::model::{History, Loss, State};
use crate::reading::{self, ReadFailure};
use crate::settings::Settings;
use crate::step::{Cut, Direction, FaultRule, Step};
use crate::tally::Tally;

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
    /// Faults wait on the disk.
    has_faults: bool,
    /// Calls of the disk may fail, or have failed since the last open.
    pub(crate) may_fail: bool,
    /// The engine has said that it writes no more.
    pub(crate) is_poisoned: bool,
    /// The faults that wait may fail a sync.
    syncs_may_fail: bool,
}

impl World {
    /// An empty database. The error is what the first open did wrong.
    pub(crate) fn new(settings: &Settings) -> Verdict<World> {
        let disk = settings.disk();
        let mut world = World {
            settings: settings.clone(),
            disk,
            history: History::new(),
            keys: BTreeSet::new(),
            first_op: 0,
            ends: Vec::new(),
            tally: Tally::default(),
            past: Vec::new(),
            engine: None,
            held: Vec::new(),
            has_faults: false,
            may_fail: false,
            is_poisoned: false,
            syncs_may_fail: false,
        };
        world.open(0, Loss::Unsynced, false)?;
        Ok(world)
    }

    /// Runs one step and checks what it promises.
    pub(crate) fn run(&mut self, step: &Step) -> Verdict {
        self.do_step(step)?;
        if self.disk.is_stopped() {
            return Err("the engine does not come to an end: too many ops of the disk".into());
        }
        if let Some(violation) = self.disk.violations().first() {
            return Err(violation.clone());
        }
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
                let outcome = self.engine().compact();
                self.note_durable(outcome, "compact")?;
                self.read(|engine, _| Ok(engine.verify()?))
            }
            Step::CompactRange(from, to) => {
                let (from, to) = (keys::key(*from.min(to)), keys::key(*from.max(to)));
                let range = KeyRange::from_bounds(&from[..]..&to[..]);
                let outcome = self.engine().compact_range(range);
                self.note_durable(outcome, "compact_range")
            }
            Step::Reopen => self.reopen(),
            Step::Kill(ops_back) => self.kill(*ops_back),
            Step::Cut(cut) => self.cut(cut),
            Step::Fault(rule) => self.fault(rule),
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

    /// Reads and compares; an error is no failure while calls may fail.
    fn read(&mut self, check: impl FnOnce(&Engine, &State) -> Result<(), ReadFailure>) -> Verdict {
        match check(self.engine(), &self.visible()) {
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
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error @ Error::Corruption { .. }) => Err(format!("{what}: {error}")),
            Err(error) if self.may_fail => {
                self.is_poisoned |= matches!(error, Error::Poisoned { .. });
                Ok(None)
            }
            Err(error) => Err(format!("{what}: {error}")),
        }
    }

    /// After a call that makes all writes durable if it succeeds.
    fn note_durable(&mut self, outcome: Result<(), Error>, what: &str) -> Verdict {
        if self.forgive(what, outcome)?.is_some() {
            if self.is_poisoned {
                return Err(format!("{what} succeeded after the engine had stopped writing"));
            }
            self.history.all_durable(self.disk.op_count());
        }
        Ok(())
    }

    fn flush(&mut self) -> Verdict {
        let outcome = self.engine().flush();
        self.note_durable(outcome, "flush")
    }

    fn iterate(&mut self, entries: u16) -> Verdict {
        let mut expected = State::clone(&self.visible());
        let mut scan = self.engine().scan(KeyRange::all()).map_err(|error| error.to_string())?;
        for _ in 0..entries {
            let advanced = scan.advance();
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
            let checked = match held {
                Held::Snapshot(snapshot, state) => {
                    let found =
                        reading::collect(snapshot.scan(KeyRange::all()), Direction::Backward);
                    reading::compare("an old snapshot", &state, found)
                }
                Held::Scan(scan, rest) => {
                    let found = reading::collect(*scan, Direction::Forward);
                    reading::compare("an old iterator", &rest, found)
                }
            };
            match checked {
                Err(ReadFailure::Error(_)) if self.may_fail => {}
                other => other.map_err(|failure| failure.to_string())?,
            }
        }
        Ok(())
    }

    /// Up to so many steps of background work; false once there is none left.
    fn background(&mut self, steps: u32) -> Verdict<bool> {
        for _ in 0..steps {
            let worked = self.engine().run_background_step();
            match self.forgive("background work", worked)? {
                Some(true) => {}
                Some(false) | None => return Ok(false),
            }
        }
        Ok(true)
    }

    fn settle(&mut self) -> Verdict {
        match self.background(MAX_BACKGROUND_STEPS)? {
            true => Err(format!("work is left after {MAX_BACKGROUND_STEPS} background steps")),
            false => Ok(()),
        }
    }

    fn fault(&mut self, rule: &FaultRule) -> Verdict {
        self.disk.inject(rule.fault());
        self.has_faults = true;
        self.may_fail = true;
        if rule.may_fail_syncs() {
            self.syncs_may_fail = true;
            self.history.doubt(self.disk.op_count());
        }
        Ok(())
    }

    fn clear_faults(&mut self) -> Verdict {
        self.disk.clear_faults();
        self.disk.set_capacity(None);
        self.has_faults = false;
        self.syncs_may_fail = false;
        Ok(())
    }

    fn limit(&mut self, bytes: u64) -> Verdict {
        let names = self.disk.fs().list().map_err(|error| error.to_string())?;
        let used: u64 = names.iter().map(|entry| entry.len).sum();
        self.disk.set_capacity(Some(used + bytes));
        self.has_faults = true;
        self.may_fail = true;
        Ok(())
    }

    fn reopen(&mut self) -> Verdict {
        let engine = self.engine.take().expect("the engine is open between steps");
        self.tally.add_engine(&engine.stats());
        let closed = engine.close();
        drop(engine);
        let is_clean = self.forgive("close", closed)?.is_some();
        if is_clean {
            self.history.all_durable(self.disk.op_count());
        }
        // A disk without room for the marks of a close does without them.
        let has_marks = is_clean && !self.may_fail;
        self.open(self.disk.op_count(), Loss::Nothing, has_marks)
    }

    fn kill(&mut self, ops_back: u64) -> Verdict {
        let op = self.op_back(ops_back);
        let disk = self.disk.kill(op);
        self.move_to(disk);
        self.first_op = op;
        self.history.rewind(op);
        self.open(op, Loss::Nothing, false)
    }

    fn cut(&mut self, cut: &Cut) -> Verdict {
        let op = self.op_back(cut.ops_back);
        let disk = self.disk.image(op, cut.keeps.choice());
        self.move_to(disk);
        self.first_op = 0;
        self.open(op, Loss::Unsynced, false)
    }

    fn op_back(&self, ops_back: u64) -> u64 {
        self.disk.op_count().saturating_sub(ops_back).max(self.first_op)
    }

    /// Leaves the disk, whose engine must do nothing more to it.
    fn move_to(&mut self, disk: SimDisk) {
        self.stop();
        let left = std::mem::replace(&mut self.disk, self.settings.ready(disk));
        self.past.push(left);
        (self.has_faults, self.may_fail, self.syncs_may_fail) = (false, false, false);
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

    /// Opens the disk, finds out which state it holds, and checks everything.
    fn open(&mut self, op: u64, loss: Loss, was_closed: bool) -> Verdict {
        let before = self.disk.op_count();
        let (opened, at_once) = self.try_open()?;
        let report = opened.recovery_report().clone();
        self.engine = Some(opened);
        let found = self.read_contents()?;
        let index = self.history.explain(&found, op, loss)?;
        match before {
            0 => self.history.restart(index),
            _ => self.history.reopened(index, self.disk.op_count()),
        }
        check_report(&report, was_closed && at_once)?;
        self.tally.add_report(&report);
        self.is_poisoned = false;
        self.may_fail = self.has_faults;
        if self.syncs_may_fail {
            self.history.doubt(self.disk.op_count());
        }
        let keys = self.keys.clone();
        self.read(|engine, state| reading::check_everything(engine, state, &keys))
    }

    /// Opens the disk; false if that took a second try. An open that fails
    /// because calls fail must succeed once they do not.
    fn try_open(&mut self) -> Verdict<(Engine, bool)> {
        let options = self.settings.engine_options();
        let opened = Engine::open_in(self.disk.env(), options.clone());
        if let Some(engine) = self.forgive("open", opened)? {
            return Ok((engine, true));
        }
        self.clear_faults()?;
        let opened = Engine::open_in(self.disk.env(), options);
        let engine = opened.map_err(|error| format!("open, after one that failed: {error}"))?;
        Ok((engine, false))
    }

    fn read_contents(&mut self) -> Verdict<State> {
        match reading::contents(self.engine()) {
            Ok(found) => Ok(found),
            Err(ReadFailure::Error(error)) => {
                self.forgive("a scan", Err::<(), _>(error))?;
                self.clear_faults()?;
                reading::contents(self.engine()).map_err(|failure| failure.to_string())
            }
            Err(wrong) => Err(wrong.to_string()),
        }
    }
}

/// What every report must say on a disk that nobody else has written to.
pub(crate) fn check_report(report: &RecoveryReport, was_closed: bool) -> Verdict {
    if let Some(name) = report.foreign.first() {
        return Err(format!("the open calls {name} a foreign file"));
    }
    let stamps: u64 = report.segments.iter().map(|segment| segment.damaged_stamps).sum();
    if stamps > 0 {
        return Err(format!("the open reports {stamps} damaged stamps on a disk without rot"));
    }
    let has_cut = report.segments.iter().any(|segment| segment.cut.is_some());
    if was_closed && (!report.clean_shutdown || has_cut) {
        return Err(format!("not clean after a close: {report}"));
    }
    Ok(())
}
