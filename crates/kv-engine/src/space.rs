//! A full disk: what goes on, what waits, and how it heals without a restart.
//!
//! Nothing that needs space is begun before it is known to fit: logs are filled
//! with zeros ahead of their records, and a table that does not fit is dropped
//! while its inputs stay. So a full disk leaves nothing half done, and costs a
//! refusal, not the state of the log.
//!
//! 1. The file `RESERVE` holds space back. Whoever finds the disk full first
//!    removes it and tries again: the flush of a memory table, the next segment
//!    and an edit of the manifest fit into it.
//! 2. From then on puts are refused with `NoSpace`. Reads go on. Deletes are
//!    taken as long as the log has room, flushed early, and compacted with what
//!    they delete: that is how a full disk empties itself.
//! 3. Flush and compaction are tried again every [`RETRY_INTERVAL`], for nobody
//!    tells when a file elsewhere is removed.
//! 4. Once nothing is left to flush and the reserve fits again, all is as before.

use std::time::Duration;

use kv_compaction::Plan;
use kv_core::{Error, Kind, Result, WriteBatch};
use kv_env::Fs;

use crate::manifest::PREWRITTEN_BYTES;
use crate::names::RESERVE;
use crate::options::{Background, Options};
use crate::primitives::Mutex;
use crate::primitives::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use crate::shared::Shared;

/// The time between two attempts to go on with a full disk: short against the
/// time that people need to free space, long against a failing attempt.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Zeros written ahead into a segment while the disk is full, in bytes: enough
/// for thousands of deletes.
pub(crate) const SMALL_SEGMENT_BYTES: u64 = 64 << 10;

/// How far the disk is from full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Level {
    /// The reserve is in place.
    Free,
    /// The reserve is in use, and background work succeeds with it.
    Full,
    /// Background work fails although the reserve was given up.
    Stuck,
}

/// A compaction that did not fit.
#[derive(Debug, Clone, Copy)]
struct Misfit {
    input_bytes: u64,
    free_bytes: u64,
}

impl Misfit {
    /// True if a compaction of `input_bytes` would not fit either: one at least as
    /// large, while there is no more space than there was.
    fn rules_out(self, input_bytes: u64, free_bytes: u64) -> bool {
        input_bytes >= self.input_bytes && free_bytes <= self.free_bytes
    }
}

/// What the engine knows of the disk's space.
pub(crate) struct Space {
    level: AtomicU8,
    reserve_bytes: u64,
    /// Writes were committed since the disk became full, and are in memory only.
    /// Changed by the holder of the writer role.
    holds_writes: AtomicBool,
    /// The last compaction that did not fit.
    misfit: Mutex<Option<Misfit>>,
    /// Why background work waits, where it is not for space: it found no file
    /// descriptor or no memory.
    waits_for: Mutex<Option<Error>>,
    /// Held by the one who makes or removes the reserve.
    change: Mutex<()>,
}

impl Space {
    /// `is_reserved` is what [`hold_reserve`] said.
    pub(crate) fn new(options: &Options, is_reserved: bool) -> Space {
        let level = if is_reserved { Level::Free } else { Level::Full };
        Space {
            level: AtomicU8::new(level as u8),
            reserve_bytes: reserve_bytes(options),
            holds_writes: AtomicBool::new(false),
            misfit: Mutex::new(None),
            waits_for: Mutex::new(None),
            change: Mutex::new(()),
        }
    }

    /// True while puts are refused.
    pub(crate) fn is_full(&self) -> bool {
        self.level.load(Relaxed) != Level::Free as u8
    }

    /// True while background work fails for lack of space.
    pub(crate) fn is_stuck(&self) -> bool {
        self.level.load(Relaxed) == Level::Stuck as u8
    }

    /// How long a background thread waits before it looks again.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let waits = self.is_full() || self.waits_for.lock().is_some();
        waits.then_some(RETRY_INTERVAL)
    }

    /// Why background work waits, where it is not for space.
    pub(crate) fn waits_for(&self) -> Option<Error> {
        self.waits_for.lock().clone()
    }

    /// Asks for another attempt that nobody will call for.
    pub(crate) fn retry_after(&self, error: Error) {
        *self.waits_for.lock() = Some(error);
    }

    /// Takes back what [`retry_after`](Space::retry_after) has asked for, as the
    /// attempt is made now; true if anything was asked for.
    pub(crate) fn stop_waiting(&self) -> bool {
        self.waits_for.lock().take().is_some()
    }

    fn set(&self, level: Level) {
        self.level.store(level as u8, Relaxed);
    }
}

/// Size of the reserve in bytes: what an open needs, or the flush of a memory
/// table, which gives back the segment.
fn reserve_bytes(options: &Options) -> u64 {
    let derived = options.memtable_flush_size.segment_bytes() + 2 * PREWRITTEN_BYTES;
    options.reserve_bytes.unwrap_or(derived)
}

/// Gives up the reserve if an open would not find space for its files.
pub(crate) fn make_room_to_open(fs: &dyn Fs, options: &Options) -> Result<()> {
    if fs.free_space()? >= reserve_bytes(options) {
        return Ok(());
    }
    match fs.remove(RESERVE) {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// Makes the reserve unless it is there; false if it does not fit.
pub(crate) fn hold_reserve(fs: &dyn Fs, options: &Options) -> Result<bool> {
    let bytes = reserve_bytes(options);
    if bytes == 0 {
        return Ok(true);
    }
    match fs.reserve(RESERVE, bytes) {
        Err(error) if error.is_out_of_space() => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

/// Removes what an attempt that found no space has left, if anything; false if that
/// fails as well.
pub(crate) fn discard(fs: &dyn Fs, name: &str) -> bool {
    fs.remove(name).or_else(|error| if error.is_not_found() { Ok(()) } else { Err(error) }).is_ok()
}

impl Shared {
    pub(crate) fn no_space(&self) -> Error {
        Error::NoSpace { directory: self.env.fs.describe() }
    }

    /// Refuses what would need more space while there is none.
    pub(crate) fn admit_to_full_disk(&self, batch: &WriteBatch) -> Result<()> {
        if !self.space.is_full() {
            return Ok(());
        }
        match batch.ops().any(|op| op.kind != Kind::Delete) {
            true => Err(self.no_space()),
            false => Ok(()),
        }
    }

    /// What is committed while the disk is full has something flushed early. Called
    /// by the holder of the writer role, who is also the one to freeze it.
    pub(crate) fn note_writes_to_full_disk(&self) {
        if self.space.is_full() {
            self.space.holds_writes.store(true, Relaxed);
        }
    }

    /// Does `work`; if the disk is full, once more without the reserve.
    ///
    /// `work` must have left no trace when it fails for lack of space.
    pub(crate) fn with_reserve<T>(&self, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        match work() {
            Err(error) if error.is_out_of_space() && self.note_no_space() => work(),
            outcome => outcome,
        }
    }

    /// Notes that the disk is full and gives up the reserve. True if that was
    /// news: what failed is worth another attempt.
    pub(crate) fn note_no_space(&self) -> bool {
        let _change = self.space.change.lock();
        let is_news = !self.space.is_full();
        let released = self.env.fs.remove(RESERVE).is_ok();
        self.space.set(if released { Level::Full } else { Level::Stuck });
        if is_news {
            self.counters.disk_full.fetch_add(1, Relaxed);
            // From now on the flush thread looks again by itself. Woken at
            // every failure, its own included, it would never wait between.
            self.signals.wake_flush();
        }
        released
    }

    /// Notes that background work has succeeded.
    pub(crate) fn note_space(&self) {
        if self.space.is_stuck() {
            self.space.set(Level::Full);
        }
    }

    /// One step of what only a full disk asks for; false if it has to wait.
    /// Comes after all other work: what is left to flush needs the space more
    /// than the reserve does.
    pub(crate) fn space_step(&self) -> Result<bool> {
        if !self.space.is_full() {
            return Ok(false);
        }
        if self.restore_reserve()? {
            return Ok(true);
        }
        self.signals.wake_compact();
        if !self.space.holds_writes.load(Relaxed) {
            return Ok(false);
        }
        match self.try_freeze() {
            Some(frozen) => Ok(frozen),
            None => self.prepare_segment(),
        }
    }

    /// Makes the reserve if it fits, and lets writers go on.
    fn restore_reserve(&self) -> Result<bool> {
        let _change = self.space.change.lock();
        // Without a reserve a writer must at least find its next segment.
        let segment_bytes = self.options.memtable_flush_size.segment_bytes();
        if self.space.reserve_bytes == 0 && self.env.fs.free_space()? < segment_bytes {
            return Ok(false);
        }
        let fits = hold_reserve(&*self.env.fs, &self.options)?;
        if fits {
            self.space.set(Level::Free);
            *self.space.misfit.lock() = None;
        }
        Ok(fits)
    }

    /// Freezes the active memory table unless it is empty; `None` if that has to
    /// wait for a segment or for the holder of the writer role.
    fn try_freeze(&self) -> Option<bool> {
        let guard = self.poison_on_panic("a freeze");
        let mut role = guard.holding(self.commit.writer.try_lock()?);
        let frozen = match role.as_mut() {
            Some(writer) => self.freeze_unless_empty(writer),
            None => Some(false),
        };
        if frozen.is_some() {
            self.space.holds_writes.store(false, Relaxed);
        }
        frozen
    }

    /// Whether the outputs of `plan` fit on the disk.
    ///
    /// While the disk is full every plan is tried, for it may shrink what it
    /// reads, but after one that failed only smaller ones, until there is more space
    /// than there was.
    pub(crate) fn has_space_for(&self, plan: &Plan) -> Result<bool> {
        if plan.trivial_move {
            return Ok(true);
        }
        let free = self.env.fs.free_space()?;
        let misfit = *self.space.misfit.lock();
        let has_failed = misfit.is_some_and(|misfit| misfit.rules_out(plan.input_bytes, free));
        let is_worth_it = self.space.is_full() || free >= plan.input_bytes;
        let fits = !has_failed && is_worth_it;
        if !fits {
            self.counters.compactions_postponed.fetch_add(1, Relaxed);
        }
        Ok(fits)
    }

    /// Remembers that `plan` did not fit.
    pub(crate) fn note_compaction_without_space(&self, plan: &Plan) {
        let free_bytes = self.env.fs.free_space().unwrap_or(0);
        let misfit = Misfit { input_bytes: plan.input_bytes, free_bytes };
        *self.space.misfit.lock() = Some(misfit);
    }

    /// Refuses to wait for background work that waits itself, and says for what.
    pub(crate) fn check_space(&self) -> Result<()> {
        if self.space.is_stuck() {
            return Err(self.no_space());
        }
        self.space.waits_for.lock().clone().map_or(Ok(()), Err)
    }

    /// Why a writer that finds no room is refused instead of waiting for it. On a full
    /// disk that is a delete, for which a flush makes room as long as one can.
    pub(crate) fn refusal_for_want_of_room(&self) -> Option<Error> {
        if self.space.is_stuck() {
            return Some(self.no_space());
        }
        // Without threads nobody else would ever make room.
        match self.options.background {
            Background::Threads => None,
            Background::Manual => self.check_space().err(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mended bug. One large compaction that did not fit kept back every smaller one,
    /// which might have made the space for it.
    #[test]
    fn a_misfit_rules_out_what_is_as_large_until_there_is_more_space() {
        let misfit = Misfit { input_bytes: 1000, free_bytes: 600 };
        assert!(misfit.rules_out(1000, 600));
        assert!(misfit.rules_out(5000, 10));
        assert!(!misfit.rules_out(999, 600), "a smaller one is tried");
        assert!(!misfit.rules_out(1000, 601), "there is more space");
    }
}
