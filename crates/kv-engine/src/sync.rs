//! From applied to durable to visible: the sync role.
//!
//! Groups that are in the log wait here, in order. Whoever holds the sync role
//! runs one `fdatasync` for all that has been appended, then publishes and
//! acknowledges it. A caller of `write` that finds the role free takes it and
//! saves two thread switches; what is left behind when it has its own answer is
//! taken over by the sync thread.
//!
//! Lock order: the sync role, then `pending`. The writer role may be held when
//! `pending` is taken, never the other way round.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use kv_core::{Error, Result, SeqNo};
use kv_env::SyncHandle;
use kv_wal::{LogWriter, Lsn, SyncedPosition};

use crate::acknowledge::Acknowledgements;
use crate::commit::Writer;
use crate::options::{Background, Durability};
use crate::poison::Held;
use crate::primitives::atomic::{Ordering, fence};
use crate::primitives::{Mutex, MutexGuard};
use crate::shared::Shared;
use crate::signals::Wake;
use crate::waiter::{Completion, Waiter};

/// Unsynced bytes at which the sync thread syncs although nobody asked: it
/// keeps the sync at the end of a segment short.
const MAX_UNSYNCED_BYTES: u64 = 8 << 20;

/// What the holder of the role does, for who is told of a panic.
const SYNC: &str = "a sync of the log";

/// A point in the sequence of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LogPosition {
    segment: u64,
    lsn: Lsn,
}

/// Batches that were logged together.
pub(crate) struct PendingGroup {
    end: LogPosition,
    /// Number of the group's last write.
    pub(crate) last_seqno: SeqNo,
    needs_sync: bool,
    is_interval: bool,
    bytes: u64,
    completions: Vec<(Completion, SeqNo)>,
}

impl PendingGroup {
    pub(crate) fn new(capacity: usize) -> PendingGroup {
        PendingGroup {
            end: LogPosition { segment: 0, lsn: Lsn(0) },
            last_seqno: SeqNo::ZERO,
            needs_sync: false,
            is_interval: false,
            bytes: 0,
            completions: Vec::with_capacity(capacity),
        }
    }

    pub(crate) fn add(
        &mut self,
        completion: Completion,
        durability: Durability,
        last_seqno: SeqNo,
        bytes: u64,
    ) {
        self.needs_sync |= durability == Durability::Sync;
        self.is_interval |= durability == Durability::Interval;
        self.bytes += bytes;
        self.completions.push((completion, last_seqno));
    }

    /// True if one of the batches is acknowledged only after a sync.
    pub(crate) fn needs_sync(&self) -> bool {
        self.needs_sync
    }

    /// Tells blocked callers that their batches are durable. False if callbacks are
    /// left to be told.
    fn wake_callers(&mut self) -> bool {
        self.completions.retain_mut(|(completion, seqno)| !completion.wake_with(*seqno));
        self.completions.is_empty()
    }

    /// Gives every batch the same outcome, or its number if that is `Ok`.
    pub(crate) fn complete_all(self, outcome: &Result<()>) {
        for (completion, seqno) in self.completions {
            completion.complete(outcome.clone().map(|()| seqno));
        }
    }
}

/// Groups that are in the log and not acknowledged yet, and where to sync.
struct Pending {
    groups: VecDeque<PendingGroup>,
    /// How many of them wait for a sync.
    waiting: usize,
    handle: Arc<dyn SyncHandle>,
    synced: SyncedPosition,
    appended: LogPosition,
    unsynced_bytes: u64,
    /// Interval writes that no sync has covered yet.
    interval_dirty: bool,
}

impl Pending {
    fn wants_sync(&self) -> bool {
        self.waiting > 0 || self.unsynced_bytes >= MAX_UNSYNCED_BYTES
    }

    /// Takes the groups that a sync up to `target` makes final, in order.
    fn take_durable(&mut self, target: LogPosition) -> Vec<PendingGroup> {
        let mut done = Vec::new();
        while let Some(front) = self.groups.front() {
            if front.needs_sync && front.end > target {
                break;
            }
            self.waiting -= usize::from(front.needs_sync);
            done.extend(self.groups.pop_front());
        }
        done
    }
}

/// Held by the one who syncs the log.
pub(crate) type SyncRole<'a> = Held<'a, ()>;

/// The sync role and what it works on.
pub(crate) struct SyncQueue {
    role: Mutex<()>,
    pending: Mutex<Pending>,
    pub(crate) acknowledgements: Acknowledgements,
}

impl SyncQueue {
    pub(crate) fn new(writer: &Writer) -> SyncQueue {
        SyncQueue {
            role: Mutex::new(()),
            pending: Mutex::new(Pending {
                groups: VecDeque::new(),
                waiting: 0,
                handle: writer.log.sync_handle(),
                synced: writer.log.synced_position(),
                appended: LogPosition { segment: writer.segment, lsn: writer.log.end() },
                unsynced_bytes: 0,
                interval_dirty: false,
            }),
            acknowledgements: Acknowledgements::default(),
        }
    }
}

impl Shared {
    /// Waits for the sync role.
    fn sync_role(&self) -> SyncRole<'_> {
        self.held(SYNC, self.sync.role.lock())
    }

    fn try_sync_role(&self) -> Option<SyncRole<'_>> {
        self.sync.role.try_lock().map(|role| self.held(SYNC, role))
    }

    /// Takes over a group that is in the log: publishes it at once if nobody
    /// asked for a sync and nothing before it waits for one.
    pub(crate) fn hand_over(&self, writer: &Writer, mut group: PendingGroup) {
        let mut pending = self.sync.pending.lock();
        // The latch is set before the queue is emptied under this lock: a group
        // that comes later is answered here.
        if let Some(error) = self.poison.error() {
            drop(pending);
            return group.complete_all(&Err(error));
        }
        group.end = LogPosition { segment: writer.segment, lsn: writer.log.end() };
        pending.appended = group.end;
        pending.unsynced_bytes += group.bytes;
        let arm_timer = group.is_interval && !pending.interval_dirty;
        pending.interval_dirty |= group.is_interval;
        let background_sync = pending.unsynced_bytes >= MAX_UNSYNCED_BYTES;
        if group.needs_sync || !pending.groups.is_empty() {
            pending.waiting += usize::from(group.needs_sync);
            pending.groups.push_back(group);
            drop(pending);
        } else {
            self.publish(group.last_seqno);
            drop(pending);
            group.complete_all(&Ok(()));
        }
        if arm_timer || background_sync {
            self.signals.wake_sync();
        }
    }

    /// Makes sure that somebody syncs what waits: the sync thread, or the
    /// caller where there is none.
    pub(crate) fn request_sync(&self) {
        if !self.sync.pending.lock().wants_sync() {
            return;
        }
        match self.options.background {
            Background::Threads => self.signals.wake_sync(),
            Background::Manual => self.run_sync(|| false),
        }
    }

    /// Takes the sync role for a blocked caller until its write has its answer.
    /// False if somebody else holds the role, who will answer.
    pub(crate) fn sync_for_caller(&self, waiter: &Waiter) -> bool {
        self.run_sync(|| waiter.is_done());
        waiter.is_done()
    }

    /// Runs the sync role until nothing waits, or `enough` says so. Returns at
    /// once if somebody else holds it.
    pub(crate) fn run_sync(&self, enough: impl Fn() -> bool) {
        let _guard = self.poison_on_panic(SYNC);
        loop {
            let Some(role) = self.try_sync_role() else { return };
            let calls_are_due = self.sync_until(&enough);
            drop(role);
            if !calls_are_due {
                return self.leave_role();
            }
            self.sync.acknowledgements.tell();
        }
    }

    /// A group that arrived while the role was being given up saw it taken.
    ///
    /// After a failure nothing is left to do: whoever latched it answers all.
    fn leave_role(&self) {
        fence(Ordering::SeqCst);
        let wants_sync = self.sync.pending.lock().wants_sync();
        if wants_sync && self.poison.error().is_none() {
            match self.options.background {
                Background::Threads => self.signals.wake_sync(),
                Background::Manual => self.run_sync(|| false),
            }
        }
    }

    /// Syncs until nothing waits, `enough` says so, or callbacks are to be called;
    /// true in that case.
    fn sync_until(&self, enough: impl Fn() -> bool) -> bool {
        while !enough() {
            let (handle, target) = {
                let mut pending = self.sync.pending.lock();
                if !pending.wants_sync() || self.poison.error().is_some() {
                    break;
                }
                pending.begin_sync()
            };
            if self.sync_once(&*handle, target) {
                return true;
            }
        }
        false
    }

    /// One `fdatasync`, and what follows from it; true if callbacks are to be
    /// called.
    fn sync_once(&self, handle: &dyn SyncHandle, target: LogPosition) -> bool {
        let started = self.env.clock.monotonic();
        let outcome = handle.sync();
        self.counters.record_sync(self.env.clock.monotonic().saturating_sub(started));
        match outcome {
            Err(error) => {
                self.poison(format!("cannot sync the log: {error}"));
                false
            }
            Ok(()) => {
                let pending = self.sync.pending.lock();
                if pending.appended.segment == target.segment {
                    pending.synced.advance(target.lsn);
                }
                self.finish(pending, target)
            }
        }
    }

    /// Publishes what is final now, wakes the callers who wait for it, and leaves
    /// callbacks to who has given the sync role back; true if there are any.
    fn finish(&self, mut pending: MutexGuard<'_, Pending>, target: LogPosition) -> bool {
        let mut done = pending.take_durable(target);
        if let Some(last) = done.last() {
            self.publish(last.last_seqno);
        }
        drop(pending);
        done.retain_mut(|group| !group.wake_callers());
        let calls_are_due = !done.is_empty();
        self.sync.acknowledgements.add(done);
        calls_are_due
    }

    /// Syncs the segment that the holder of the writer role is about to leave.
    ///
    /// Takes the sync role for that. The operating system tells of lost pages
    /// once: were a sync of that role under way, it could get the error and this
    /// one a success for the same bytes. Behind the role every failure is latched.
    /// The role is kept until nobody can come to sync this segment any more: to
    /// seal it is to sync it once more.
    pub(crate) fn sync_last(&self, log: &mut LogWriter) -> Result<SyncRole<'_>> {
        let role = self.sync_role();
        self.poison.check()?;
        log.sync().map_err(|error| self.poison(format!("cannot sync the log: {error}")))?;
        Ok(role)
    }

    /// After the active segment was synced by the holder of the writer role:
    /// everything in it is final, and the segment that `writer` has now takes its
    /// place. Callbacks are left to who gives the sync role back.
    pub(crate) fn switch_segment(&self, writer: &Writer) {
        let mut pending = self.sync.pending.lock();
        let target = pending.appended;
        pending.handle = writer.log.sync_handle();
        pending.synced = writer.log.synced_position();
        pending.appended = LogPosition { segment: writer.segment, lsn: writer.log.end() };
        pending.unsynced_bytes = 0;
        pending.interval_dirty = false;
        self.finish(pending, target);
    }

    /// After the log was synced for the last time: everything in it is final.
    /// Callbacks are left to who gives the sync role back.
    pub(crate) fn acknowledge_all(&self) {
        let pending = self.sync.pending.lock();
        let target = pending.appended;
        self.finish(pending, target);
    }

    /// Latches a failure, answers every write in flight with it, and wakes whoever
    /// waits for the background, which will do nothing more.
    pub(crate) fn poison(&self, cause: String) -> Error {
        self.poison.set(cause);
        let error = self.poison.error().expect("the latch was just set");
        let groups = {
            let mut pending = self.sync.pending.lock();
            pending.waiting = 0;
            pending.unsynced_bytes = 0;
            std::mem::take(&mut pending.groups)
        };
        for group in groups {
            group.complete_all(&Err(error.clone()));
        }
        // A panic of a callback may have left some that are final.
        self.sync.acknowledgements.tell();
        self.signals.announce_progress();
        fence(Ordering::SeqCst);
        // Not left to the sync thread: it may be the one that has failed.
        self.drive_writer();
        error
    }

    /// The loop of the sync thread: commits what was handed on, and syncs what waits
    /// and what interval writes left behind once their interval is over.
    pub(crate) fn run_sync_thread(&self) {
        let interval = Duration::from_millis(self.options.wal_flush_interval_ms);
        let mut due: Option<Duration> = None;
        loop {
            let now = self.env.clock.monotonic();
            let patience = due.map(|due| due.saturating_sub(now));
            if self.signals.wait_for_sync(patience) == Wake::Closed {
                return;
            }
            self.take_over();
            let now = self.env.clock.monotonic();
            if due.is_some_and(|due| due <= now) {
                self.sync_interval();
            }
            self.run_sync(|| false);
            due = match self.sync.pending.lock().interval_dirty {
                false => None,
                true => Some(due.filter(|&due| due > now).unwrap_or(now + interval)),
            };
        }
    }

    /// Syncs interval writes although nobody waits for them.
    pub(crate) fn sync_interval(&self) {
        let _guard = self.poison_on_panic(SYNC);
        let role = self.sync_role();
        let (handle, target) = {
            let mut pending = self.sync.pending.lock();
            if !pending.interval_dirty || self.poison.error().is_some() {
                return;
            }
            pending.begin_sync()
        };
        self.sync_once(&*handle, target);
        drop(role);
        self.sync.acknowledgements.tell();
    }
}

impl Pending {
    /// Where the coming sync reaches; what it covers is no longer owed.
    fn begin_sync(&mut self) -> (Arc<dyn SyncHandle>, LogPosition) {
        self.unsynced_bytes = 0;
        self.interval_dirty = false;
        (Arc::clone(&self.handle), self.appended)
    }
}
