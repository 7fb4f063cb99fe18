//! A simulated machine: the state of its disk, the log of how it came about,
//! and everything that goes wrong on purpose.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Weak};

use kv_core::{Error, Pinned, Result};

use crate::fault::{Failure, FaultPlan, Operation};

use super::SimOptions;
use super::contents::Contents;
use super::device::{DevicePlan, Effect, ReadDamage, StraySync};
use super::directory::{Entry, FileNumber};
use super::op::{Op, Record, SyncOutcome};
use super::random::mix;
use super::state::{KnownHashes, State};

/// A write that comes back short and can go on has stopped between words: it is
/// copied into the cache in such steps at least, mostly in pages. One that stops
/// at any byte has met a limit, and what goes on from there fails.
const SHORT_WRITE_BYTES: usize = 8;

pub(super) struct Machine {
    pub(super) options: SimOptions,
    pub(super) seed: u64,
    /// The state before the first op of the log.
    base: State,
    /// Number of the first op of the log.
    base_op: u64,
    log: Vec<Record>,
    /// What went wrong with calls that are no ops, and before which op.
    notes: Vec<(u64, String)>,
    live: State,
    /// Of the state before the first op, once it was asked for.
    fingerprint: Option<u64>,
    /// The last state asked for, since tests ask for one op after the other.
    replayed: Option<(u64, State)>,
    pub(super) stop_at: Option<u64>,
    is_stopped: bool,
    pub(super) faults: FaultPlan,
    pub(super) device: DevicePlan,
    pub(super) syncs_lie: bool,
    pub(super) capacity: Option<u64>,
    pub(super) locked: BTreeSet<String>,
    maps: Vec<(FileNumber, Weak<dyn Pinned>)>,
    handles: Vec<(FileNumber, Weak<Handle>)>,
    violations: Vec<String>,
}

/// Exists as long as a file is open; says what its holder may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handle {
    Read,
    Write,
}

impl Machine {
    /// A machine whose disk is in `state`; its next op has number `first_op`.
    pub(super) fn new(seed: u64, options: SimOptions, state: State, first_op: u64) -> Machine {
        Machine {
            options,
            seed,
            base: state.clone(),
            base_op: first_op,
            log: Vec::new(),
            notes: Vec::new(),
            live: state,
            fingerprint: None,
            replayed: None,
            stop_at: None,
            is_stopped: false,
            faults: FaultPlan::default(),
            device: DevicePlan::default(),
            syncs_lie: false,
            capacity: None,
            locked: BTreeSet::new(),
            maps: Vec::new(),
            handles: Vec::new(),
            violations: Vec::new(),
        }
    }

    pub(super) fn state(&self) -> &State {
        &self.live
    }

    pub(super) fn op_count(&self) -> u64 {
        self.base_op + self.log.len() as u64
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    pub(super) fn violations(&self) -> &[String] {
        &self.violations
    }

    pub(super) fn history(&self) -> Vec<String> {
        let ops = (self.base_op..).zip(&self.log).map(|(op, record)| format!("{op}: {record}"));
        let mut notes = self.notes.iter().peekable();
        let mut lines = Vec::new();
        for (op, line) in (self.base_op..).zip(ops.map(Some).chain([None])) {
            while let Some((_, note)) = notes.next_if(|(before, _)| *before <= op) {
                lines.push(format!("before {op}: {note}"));
            }
            lines.extend(line);
        }
        lines
    }

    fn note(&mut self, text: String) {
        self.notes.push((self.op_count(), text));
    }

    /// The state after the first `op` ops.
    ///
    /// # Panics
    /// If the log does not reach there.
    pub(super) fn state_at(&mut self, op: u64) -> &State {
        let known = self.base_op..=self.op_count();
        assert!(known.contains(&op), "op {op} is not among the known ones, {known:?}");
        if op == self.op_count() {
            return &self.live;
        }
        let usable = self.replayed.take().filter(|(reached, _)| *reached <= op);
        let (reached, mut state) = usable.unwrap_or_else(|| (self.base_op, self.base.clone()));
        for number in reached..op {
            state.apply(number, &self.log[(number - self.base_op) as usize]);
        }
        &self.replayed.insert((op, state)).1
    }

    pub(super) fn forget_history(&mut self) {
        self.base_op = self.op_count();
        self.log.clear();
        self.notes.clear();
        self.replayed = None;
        self.fingerprint = None;
        let open: BTreeSet<FileNumber> = self.open_handles().map(|(file, _)| file).collect();
        self.live.forget_unreachable(|file| open.contains(&file));
        self.base = self.live.clone();
    }

    /// The number of the first op from `from` on for which `wanted` holds.
    pub(super) fn find_op(&self, from: u64, wanted: impl Fn(&Op) -> bool) -> Option<u64> {
        let skipped = usize::try_from(from.saturating_sub(self.base_op)).unwrap_or(usize::MAX);
        let at = self.log.iter().skip(skipped).position(|record| wanted(&record.op))?;
        Some(self.base_op + (skipped + at) as u64)
    }

    /// The syncs from op `from` on that went astray.
    pub(super) fn stray_syncs(&self, from: u64) -> Vec<StraySync> {
        let known = (self.base_op..).zip(&self.log);
        let astray = known.filter(|(op, record)| *op >= from && record.op.went_astray());
        let told = astray.map(|(op, record)| {
            let landings = record.op.strays().iter().filter_map(|stray| stray.landing.as_ref());
            let landings = landings.map(|landing| landing.name.clone()).collect();
            StraySync { op, file: record.name.clone(), landings }
        });
        told.collect()
    }

    /// A hash of all names and bytes that reads see.
    pub(super) fn fingerprint(&mut self, known: &KnownHashes) -> u64 {
        if !self.log.is_empty() {
            return self.live.fingerprint(known);
        }
        *self.fingerprint.get_or_insert_with(|| self.live.fingerprint(known))
    }

    /// Whether a call that changes nothing may go on.
    pub(super) fn allow(&mut self, operation: Operation, name: &str) -> Result<()> {
        self.check_running(operation, name)?;
        match self.faults.failure(None, operation, name) {
            Some(failure) => {
                self.note(format!("{} {name}: {failure:?}", operation.verb()));
                Err(failure.error(operation, name.to_owned()))
            }
            None => Ok(()),
        }
    }

    /// Reads what `file` holds now, as the device lets it be seen.
    pub(super) fn read(
        &mut self,
        name: &str,
        file: FileNumber,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize> {
        self.allow(Operation::Read, name)?;
        let live = self.live.contents(file).live();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(live.len());
        let got = buffer.len().min(live.len() - start);
        let buffer = &mut buffer[..got];
        buffer.copy_from_slice(&live[start..start + got]);
        let start = start as u64;
        for damage in self.damage(Operation::Read, name, start..start + got as u64) {
            if damage.effect == Effect::Error {
                return Err(Failure::Device.error(Operation::Read, name.to_owned()));
            }
            damage.apply(buffer, start, &self.live);
        }
        Ok(got)
    }

    /// The bytes that a map of `file` shows. A map has no way to report a read
    /// error: the machine stops instead.
    pub(super) fn bytes_to_map(&mut self, name: &str, file: FileNumber) -> Result<Arc<Vec<u8>>> {
        let mut bytes = Arc::clone(self.live.contents(file).live());
        for damage in self.damage(Operation::Map, name, 0..bytes.len() as u64) {
            if damage.effect == Effect::Error {
                self.note(format!("map {name}: the process dies of SIGBUS"));
                self.is_stopped = true;
                self.check_running(Operation::Map, name)?;
            }
            damage.apply(Arc::<Vec<u8>>::make_mut(&mut bytes), 0, &self.live);
        }
        Ok(bytes)
    }

    /// What the device does to a read of `range`, which has been noted.
    fn damage(&mut self, operation: Operation, name: &str, range: Range<u64>) -> Vec<ReadDamage> {
        let damage = self.device.damage(name, &range);
        for damage in &damage {
            self.note(format!("{} {name}: {damage}", operation.verb()));
        }
        damage
    }

    /// Whether the machine still runs.
    pub(super) fn check_running(&self, operation: Operation, name: &str) -> Result<()> {
        if self.is_stopped {
            let error = std::io::Error::other("the simulated machine has stopped");
            return Err(Error::io(operation.verb(), name, error));
        }
        Ok(())
    }

    /// Does the next op, unless something is to go wrong with it.
    pub(super) fn perform(&mut self, operation: Operation, name: &str, op: Op) -> Result<()> {
        let number = self.op_count();
        self.is_stopped |= self.stop_at.is_some_and(|stop| number >= stop);
        self.check_running(operation, name)?;
        self.check_not_mapped(number, name, &op);

        let failure = self.faults.failure(Some(number), operation, name);
        let (op, failure) = match failure {
            Some(failure) => {
                let seed = mix(self.seed, number);
                (op.failed(seed, self.options.failed_sync_reverts), Some(failure))
            }
            None => self.limit_space(op),
        };
        let op = match op {
            Op::Sync { file, outcome: SyncOutcome::Durable, .. } if !self.syncs_lie => {
                let strays = self.device.strays(name, file, &self.live);
                Op::Sync { file, outcome: SyncOutcome::Durable, strays }
            }
            op => op,
        };
        let op = if self.syncs_lie { op.lied() } else { op };
        self.record(name, op, failure.is_some());
        match failure {
            Some(failure) => Err(failure.error(operation, name.to_owned())),
            None => Ok(()),
        }
    }

    /// How much of an append of `len` bytes at `offset` the first call writes.
    pub(super) fn first_write(&self, offset: usize, len: usize) -> usize {
        if !self.options.short_writes {
            return len;
        }
        let somewhere = (mix(self.seed, self.op_count()) % len as u64) as usize;
        let end = (offset + somewhere) / SHORT_WRITE_BYTES * SHORT_WRITE_BYTES;
        end.saturating_sub(offset)
    }

    /// Does an op that a test makes; nothing goes wrong with those.
    pub(super) fn record(&mut self, name: &str, op: Op, failed: bool) {
        let record = Record { op, name: name.to_owned(), failed };
        self.live.apply(self.op_count(), &record);
        self.log.push(record);
    }

    /// Bytes that files take. One without a name takes them for as long as it
    /// is open or mapped.
    pub(super) fn used_bytes(&self) -> u64 {
        let mapped = self.maps.iter().filter(|(_, map)| map.strong_count() > 0);
        let mapped = mapped.map(|(file, _)| *file);
        self.live.used_bytes(self.open_handles().map(|(file, _)| file).chain(mapped).collect())
    }

    /// Cuts a write that the disk has no room for.
    fn limit_space(&self, op: Op) -> (Op, Option<Failure>) {
        let (Some(capacity), Some((file, end))) = (self.capacity, op.write_end()) else {
            return (op, None);
        };
        let len = self.live.contents(file).len();
        let free = capacity.saturating_sub(self.used_bytes());
        if end as u64 <= len as u64 + free {
            return (op, None);
        }
        (op.cut_at(len + free as usize), Some(Failure::NoSpace))
    }

    /// Remembers a map of `file`, whose bytes must not change from now on.
    pub(super) fn note_map(&mut self, name: &str, file: FileNumber, map: Weak<dyn Pinned>) {
        let has_writer = self.open_handles().any(|open| open == (file, Handle::Write));
        if has_writer && !self.live.contents(file).is_sealed() {
            self.violations.push(format!("{name} was mapped while it was being written"));
        }
        self.maps.retain(|(_, map)| map.strong_count() > 0);
        self.maps.push((file, map));
    }

    /// Opens `file`: it counts as open until the handle is dropped.
    pub(super) fn open(&mut self, file: FileNumber, kind: Handle) -> Arc<Handle> {
        let handle = Arc::new(kind);
        self.handles.retain(|(_, handle)| handle.strong_count() > 0);
        self.handles.push((file, Arc::downgrade(&handle)));
        handle
    }

    fn open_handles(&self) -> impl Iterator<Item = (FileNumber, Handle)> {
        self.handles.iter().filter_map(|(file, handle)| Some((*file, *handle.upgrade()?)))
    }

    fn check_not_mapped(&mut self, number: u64, name: &str, op: &Op) {
        let Some(file) = op.written_file() else { return };
        if self.maps.iter().any(|(mapped, map)| *mapped == file && map.strong_count() > 0) {
            self.violations.push(format!("op {number} changed {name} while it was mapped"));
        }
    }

    /// The name that a file has now, or `name` if it has none any more.
    pub(super) fn name_of(&self, file: FileNumber, name: &str) -> String {
        if self.live.directory().entry(name) == Some(Entry::File(file)) {
            return name.to_owned();
        }
        self.live.directory().name_of(file).unwrap_or(name).to_owned()
    }

    pub(super) fn contents(&self, file: FileNumber) -> &Contents {
        self.live.contents(file)
    }

    /// Does a sync of `file`.
    pub(super) fn sync(&mut self, name: &str, file: FileNumber) -> Result<()> {
        self.perform(Operation::Sync, name, Op::sync(file, SyncOutcome::Durable))
    }
}
