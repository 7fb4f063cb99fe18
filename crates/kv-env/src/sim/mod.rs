//! A disk in memory that can lose power.
//!
//! Everything that changes the disk is an op with a number, and the ops are
//! kept, so the disk can be asked after a run what it would have held had the
//! power failed at any of them. For each file and for the directory three
//! things are kept apart: what reads see, what a power cut surely leaves, and
//! the changes in between, each of which survives a power cut or does not.
//!
//! What a power cut may leave:
//!
//! | before it | after it |
//! |---|---|
//! | written and synced | there |
//! | written, not synced | each 512-byte sector old or new, on its own |
//! | a longer file, not synced | the old length or a new one; lost sectors read as zeros, or as stale bytes where the options say so |
//! | a name made, renamed or removed, directory not synced | old or new, each on its own, or in order ([`DirectoryModel`]); syncing a file does not sync its name |
//! | a failed sync | any part of what it should have written; later syncs do not help, but for a sector written again and a name changed again |
//! | a write that came back short and goes on | any first words of it, where the options say so |

mod choice;
mod clock;
mod contents;
mod device;
mod directory;
mod disk_fs;
mod files;
mod machine;
mod op;
mod random;
mod state;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::fault::Fault;
use crate::ports::{Clock, Entropy, Env, Fs};

pub use choice::{CrashChoice, DirectoryModel};
pub use clock::SimClock;
pub use device::{DeviceFault, StraySync};

use disk_fs::SimFs;
use machine::Machine;
use op::Op;
use random::{SimEntropy, mix};
use state::{KnownHashes, State};

/// How a simulated disk behaves. The default is the weakest behaviour that
/// file systems in use show without mount options that ask for trouble.
#[derive(Debug, Clone, Copy, Default)]
pub struct SimOptions {
    /// How directory changes may be lost.
    pub directory_model: DirectoryModel,
    /// New parts of a file whose data was lost hold bytes of the file removed
    /// last, not zeros.
    pub stale_bytes: bool,
    /// An append takes two calls: the first comes back short, as a signal makes
    /// it, and the second goes on where it stopped. So a crash may find any
    /// first words of it, not only whole sectors.
    pub short_writes: bool,
    /// After a failed sync reads see what the disk holds (btrfs). Otherwise
    /// they see the new bytes until `drop_cache` (ext4, xfs).
    pub failed_sync_reverts: bool,
}

/// A simulated disk, with a clock and randomness of its own. Clones are
/// handles of the same disk.
///
/// In one thread, the same seed and the same calls give the same run.
#[derive(Debug, Clone)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

/// What all handles and open files of a disk share.
pub(crate) struct Shared {
    machine: Mutex<Machine>,
    clock: Arc<SimClock>,
    entropy: Arc<SimEntropy>,
}

impl fmt::Debug for Shared {
    /// Without the bytes, which would drown any message.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op_count = self.machine.lock().op_count();
        formatter.debug_struct("SimDisk").field("op_count", &op_count).finish_non_exhaustive()
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::with_options(seed, SimOptions::default())
    }

    /// An empty disk that behaves as `options` say.
    pub fn with_options(seed: u64, options: SimOptions) -> SimDisk {
        SimDisk::start(Machine::new(seed, options, State::default(), 0), SimClock::new())
    }

    fn start(machine: Machine, clock: SimClock) -> SimDisk {
        let entropy = Arc::new(SimEntropy::new(machine.seed));
        let machine = Mutex::new(machine);
        SimDisk { shared: Arc::new(Shared { machine, clock: Arc::new(clock), entropy }) }
    }

    /// The ports of this disk.
    pub fn env(&self) -> Env {
        Env {
            fs: self.fs(),
            clock: Arc::clone(&self.shared.clock) as Arc<dyn Clock>,
            entropy: Arc::clone(&self.shared.entropy) as Arc<dyn Entropy>,
        }
    }

    /// The file system alone.
    pub fn fs(&self) -> Arc<dyn Fs> {
        Arc::new(SimFs { shared: Arc::clone(&self.shared) })
    }

    /// The clock, to be set.
    pub fn clock(&self) -> Arc<SimClock> {
        Arc::clone(&self.shared.clock)
    }

    /// How many ops were done: the number of the next one.
    pub fn op_count(&self) -> u64 {
        self.shared.machine.lock().op_count()
    }

    /// How many calls there were that a [`Fault`] could have made fail, those
    /// that change nothing included. Some calls of the ports count as several:
    /// a truncation is also a sync.
    pub fn call_count(&self) -> u64 {
        self.shared.machine.lock().faults.calls()
    }

    /// The first sync from op `from` on that failed, if one did: since then the
    /// cache may lose what was not synced before, also without a power cut.
    pub fn first_failed_sync(&self, from: u64) -> Option<u64> {
        self.shared.machine.lock().find_op(from, Op::is_failed_sync)
    }

    /// The first sync from op `from` on by which the device stored something
    /// else than it was told, if there is one.
    pub fn first_stray_sync(&self, from: u64) -> Option<u64> {
        self.shared.machine.lock().find_op(from, Op::went_astray)
    }

    /// All of them, and which files they concern.
    pub fn stray_syncs(&self, from: u64) -> Vec<StraySync> {
        self.shared.machine.lock().stray_syncs(from)
    }

    /// The ops so far, one line each, for messages of failing tests. Between
    /// them, calls that are no ops and were made to fail or to lie.
    pub fn history(&self) -> Vec<String> {
        self.shared.machine.lock().history()
    }

    /// Drops the op log up to here: less memory, and no images of earlier ops.
    pub fn forget_history(&self) {
        self.shared.machine.lock().forget_history();
    }

    /// Stops the machine in place of op number `op`: that op and every call
    /// after it fails, reads included.
    pub fn stop_at(&self, op: u64) {
        self.shared.machine.lock().stop_at = Some(op);
    }

    /// Whether the op of [`stop_at`](SimDisk::stop_at) was asked for, or a file
    /// mapped that is [unreadable](DeviceFault::unreadable).
    pub fn is_stopped(&self) -> bool {
        self.shared.machine.lock().is_stopped()
    }

    /// The disk as a power cut now would leave it. This disk stays as it is.
    pub fn crash(&self, choice: CrashChoice) -> SimDisk {
        self.image(self.op_count(), choice)
    }

    /// The disk as a power cut after the first `op` ops would have left it.
    /// An op in flight is one that was done: what it changed is unsynced.
    ///
    /// The new disk has its own op log, starting at 0, the same options, no
    /// faults, and other random identities.
    ///
    /// # Panics
    /// If `op` is above [`op_count`](SimDisk::op_count) or was forgotten.
    pub fn image(&self, op: u64, choice: CrashChoice) -> SimDisk {
        let mut machine = self.shared.machine.lock();
        let state = power_cut(&mut machine, op, choice);
        let seed = mix(mix(machine.seed, op), choice.salt());
        let machine = Machine::new(seed, machine.options, state, 0);
        SimDisk::start(machine, self.restarted_clock())
    }

    /// The disk as a kill of the process after the first `op` ops would have
    /// left it: nothing is lost, and nothing unsynced is durable either. Its
    /// op numbers go on from `op`.
    ///
    /// # Panics
    /// As [`image`](SimDisk::image).
    pub fn kill(&self, op: u64) -> SimDisk {
        let mut machine = self.shared.machine.lock();
        let state = machine.state_at(op).clone();
        let seed = mix(machine.seed, op);
        let machine = Machine::new(seed, machine.options, state, op);
        SimDisk::start(machine, self.restarted_clock())
    }

    fn restarted_clock(&self) -> SimClock {
        SimClock::starting_at(self.shared.clock.wall_ms())
    }

    /// How many changes were unsynced after the first `op` ops.
    pub fn unsynced_changes(&self, op: u64) -> usize {
        self.shared.machine.lock().state_at(op).units().len()
    }

    /// The choices worth trying for a power cut now: all subsets where few
    /// changes are unsynced; none, all, single survivors, single losses,
    /// prefixes and random subsets where there are many.
    pub fn crash_choices(&self) -> Vec<CrashChoice> {
        self.choices_at(self.op_count())
    }

    /// As [`crash_choices`](SimDisk::crash_choices), for a power cut after the
    /// first `op` ops.
    pub fn choices_at(&self, op: u64) -> Vec<CrashChoice> {
        let seed = mix(self.shared.machine.lock().seed, op);
        choice::choices(seed, self.unsynced_changes(op))
    }

    /// The different disks that the choices for a power cut after the first
    /// `op` ops lead to, each with one choice that leads to it.
    pub fn images(&self, op: u64) -> impl Iterator<Item = (CrashChoice, SimDisk)> + '_ {
        let mut seen = BTreeSet::new();
        let known = self.shared.machine.lock().state_at(op).durable_hashes();
        self.choices_at(op).into_iter().filter_map(move |choice| {
            let image = self.image(op, choice);
            let fingerprint = image.shared.machine.lock().fingerprint(&known);
            seen.insert(fingerprint).then_some((choice, image))
        })
    }

    /// A hash of all names and bytes that reads see.
    pub fn fingerprint(&self) -> u64 {
        self.shared.machine.lock().fingerprint(&KnownHashes::default())
    }

    /// Makes calls fail.
    pub fn inject(&self, fault: Fault) {
        self.shared.machine.lock().faults.add(fault);
    }

    /// Makes the device go wrong, mostly without an error. What came of it is
    /// in the [`history`](SimDisk::history), and part of the op log where it
    /// changed the disk.
    pub fn inject_device(&self, fault: DeviceFault) {
        self.shared.machine.lock().device.add(fault);
    }

    /// Takes back all faults, those of the device too; what they did stays.
    pub fn clear_faults(&self) {
        let mut machine = self.shared.machine.lock();
        machine.faults.clear();
        machine.device.clear();
    }

    /// Makes every sync report success and do nothing: a harness that does not
    /// find losses on such a disk is broken.
    pub fn set_lying_sync(&self, lies: bool) {
        self.shared.machine.lock().syncs_lie = lies;
    }

    /// Limits the bytes of all files together; `None` is no limit. A write
    /// beyond it leaves what fits and reports a full disk. Overwriting never
    /// does, and a removed file counts until nobody has it open or mapped.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.shared.machine.lock().capacity = bytes;
    }

    /// What was done to mapped files that must never happen: a change of one,
    /// or a map of a file still being written.
    pub fn violations(&self) -> Vec<String> {
        self.shared.machine.lock().violations().to_vec()
    }

    /// The bytes of a file as reads see them; no fault applies.
    pub fn read_file(&self, name: &str) -> Option<Vec<u8>> {
        let machine = self.shared.machine.lock();
        let file = machine.state().file(name)?;
        Some(machine.contents(file).live().to_vec())
    }

    /// Puts a durable file on the disk, in place of one of that name; no fault
    /// applies. It is an op of the log.
    pub fn write_file(&self, name: &str, bytes: &[u8]) {
        let mut machine = self.shared.machine.lock();
        let file = machine.state().next_file();
        machine.record(name, Op::Plant { file, bytes: Arc::from(bytes) }, false);
    }

    /// Lets a file rot: flips the bits of `mask` in one byte, on the disk and
    /// in the cache. Maps keep the old byte. It is an op of the log.
    ///
    /// # Panics
    /// If there is no such byte.
    pub fn corrupt(&self, name: &str, offset: u64, mask: u8) {
        let mut machine = self.shared.machine.lock();
        let file = machine.state().file(name).expect("the file to corrupt exists");
        let offset = usize::try_from(offset).expect("an offset in memory");
        assert!(offset < machine.contents(file).len(), "{name} has no byte at {offset}");
        machine.record(name, Op::Flip { file, offset, mask }, false);
    }
}

/// The state after the first `op` ops and a power cut.
fn power_cut(machine: &mut Machine, op: u64, choice: CrashChoice) -> State {
    let SimOptions { directory_model, stale_bytes, .. } = machine.options;
    let state = machine.state_at(op);
    let units = state.units();
    let survivors = choice::survivors(choice, &units, directory_model);
    state.after_power_cut(&units, &survivors, stale_bytes)
}
