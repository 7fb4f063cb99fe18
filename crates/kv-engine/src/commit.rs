//! The write path: one queue, one holder of the writer role, one order.
//!
//! Rules that everything below keeps:
//!
//! 1. Sequence numbers rise in log order.
//! 2. Nothing is visible before it is in the log, and nothing of a group that
//!    holds a synced write is visible before its `fdatasync` has succeeded: no
//!    read ever returns what a power cut could take back.
//! 3. The visible sequence number only rises.
//! 4. Any append or sync error poisons the engine; the whole group gets an
//!    error that says the outcome is unknown; a sync is never retried.
//! 5. Freezing happens between groups, by the holder of the writer role: a
//!    batch is never split over two memory tables or segments.
//! 6. A segment is synced before its successor takes a record, so only the
//!    last one may end torn.
//!
//! The writer role is a lock that any caller may take, not a thread: a lone
//! caller commits its own write without a hop, a crowd is drained in groups by
//! whoever holds the role. A caller that finds the role taken leaves its
//! request in the queue; the holder looks at the queue once more after letting
//! go, so no request is left behind. Nobody holds it for ever: who has committed
//! [`MAX_GROUPS_PER_HOLDER`] groups and finds more lets go all the same, and the
//! sync thread goes on.

use std::sync::atomic::Ordering::Relaxed;

use kv_core::{Error, Result, SeqNo, WriteBatch};
use kv_memtable::MemtableWriter;
use kv_wal::LogWriter;

use crate::options::{Background, Durability};
use crate::primitives::atomic::{AtomicBool, Ordering, fence};
use crate::primitives::{Mutex, SegQueue};
use crate::shared::Shared;
use crate::sync::PendingGroup;
use crate::view::View;
use crate::waiter::{Completion, Waiter};

/// A group is closed at this many bytes of batches: one write call of this
/// size takes about as long as the sync behind it, more would only add latency.
const MAX_GROUP_BYTES: usize = 1 << 20;

/// Groups that one holder commits. While others keep writing there would always be
/// one more, and the holder, who has its own answer, would never return; a sync that
/// it owes would never come. A crowd that waits for its syncs is never so many
/// groups long. For the others a hand-over costs a wake-up of a thread, which is
/// little against so many groups.
const MAX_GROUPS_PER_HOLDER: usize = 16;

/// A batch on its way.
pub(crate) struct Request {
    batch: WriteBatch,
    durability: Durability,
    completion: Completion,
}

/// What the holder of the writer role may change.
pub(crate) struct Writer {
    pub(crate) log: LogWriter,
    pub(crate) segment: u64,
    pub(crate) memtable: MemtableWriter,
    pub(crate) next_seqno: SeqNo,
    /// The next segment has been asked for.
    pub(crate) segment_requested: bool,
    /// Found no room, and has not found any since.
    pub(crate) is_stalled: bool,
}

/// Requests, and the role of the one who commits them.
pub(crate) struct CommitQueue {
    requests: SegQueue<Request>,
    /// The writer role; empty once the engine is closed.
    pub(crate) writer: Mutex<Option<Writer>>,
    /// The sync thread is to commit what is queued.
    is_handed_on: AtomicBool,
}

/// What came of holding the writer role.
pub(crate) struct Committed {
    /// Some of what was committed waits for a sync.
    owes_sync: bool,
    /// There is no room for what is queued.
    is_stalled: bool,
    groups: usize,
}

impl CommitQueue {
    pub(crate) fn new(writer: Writer) -> CommitQueue {
        CommitQueue {
            requests: SegQueue::new(),
            writer: Mutex::new(Some(writer)),
            is_handed_on: AtomicBool::new(false),
        }
    }

    /// Takes the next group: up to `max_requests`, up to [`MAX_GROUP_BYTES`].
    fn drain(&self, max_requests: usize) -> Vec<Request> {
        let mut group = Vec::new();
        let mut bytes = 0;
        while group.len() < max_requests && bytes < MAX_GROUP_BYTES {
            let Some(request) = self.requests.pop() else { break };
            bytes += request.batch.size_bytes();
            group.push(request);
        }
        group
    }
}

impl Shared {
    /// Commits `batch` and blocks until it is as durable as asked.
    pub(crate) fn write(&self, batch: WriteBatch, durability: Durability) -> Result<SeqNo> {
        let batch = self.admit(batch)?;
        let waiter = Waiter::new();
        let owes_sync = self.enqueue(batch, durability, Completion::waiter(&waiter));
        loop {
            if let Some(result) = waiter.poll() {
                if owes_sync {
                    self.request_sync();
                }
                return result;
            }
            if durability == Durability::Sync {
                if !self.sync_for_caller(&waiter) {
                    waiter.park();
                }
            } else {
                if owes_sync {
                    self.request_sync();
                }
                waiter.park();
            }
        }
    }

    /// Queues `batch`; `completion` gets the outcome. Does not wait for a sync of it.
    pub(crate) fn submit(&self, batch: WriteBatch, durability: Durability, completion: Completion) {
        match self.admit(batch) {
            Err(error) => completion.complete(Err(error)),
            Ok(batch) => {
                self.enqueue(batch, durability, completion);
                self.request_sync();
            }
        }
    }

    /// Refuses what cannot be committed, and renews expectations that are
    /// older than the memory tables: the holder of the writer role must be
    /// able to check them without reading a table.
    fn admit(&self, mut batch: WriteBatch) -> Result<WriteBatch> {
        self.check_open()?;
        self.poison.check()?;
        self.admit_to_full_disk(&batch)?;
        if batch.expectations().is_empty() {
            return Ok(batch);
        }
        let at = self.applied();
        let view = self.view.load();
        for expectation in batch.expectations_mut() {
            if expectation.read_at >= view.flushed_through {
                continue;
            }
            if !view.is_unchanged(expectation, at, &self.counters)? {
                self.counters.conflicts.fetch_add(1, Relaxed);
                return Err(Error::Conflict);
            }
            expectation.read_at = at;
        }
        Ok(batch)
    }

    /// Queues a request and commits what is queued. True if the caller owes a
    /// sync, possibly for the writes of others.
    fn enqueue(&self, batch: WriteBatch, durability: Durability, completion: Completion) -> bool {
        self.commit.requests.push(Request { batch, durability, completion });
        // Pairs with the fence of `commit_queued`: either we get the role, or
        // its holder sees our request when it looks again.
        fence(Ordering::SeqCst);
        self.commit_queued()
    }

    /// Commits what is queued, and makes sure that somebody syncs it.
    pub(crate) fn drive_writer(&self) {
        if self.commit_queued() {
            self.request_sync();
        }
    }

    /// Sees to what is queued, on behalf of who may have found the writer role taken
    /// or no room. A background thread has its own work and may have to wait for a
    /// processor: it leaves the commit to the sync thread.
    pub(crate) fn serve_queue(&self) {
        fence(Ordering::SeqCst);
        if !self.commit.requests.is_empty() {
            match self.options.background {
                Background::Threads => self.hand_on(),
                Background::Manual => self.drive_writer(),
            }
        }
    }

    /// Has the sync thread commit what is queued.
    fn hand_on(&self) {
        self.commit.is_handed_on.store(true, Ordering::Release);
        self.signals.wake_sync();
    }

    /// Commits what others have handed on.
    pub(crate) fn take_over(&self) {
        if self.commit.is_handed_on.swap(false, Ordering::AcqRel) {
            self.drive_writer();
        }
    }

    /// Takes the writer role if it is free and commits what is queued: all of it, or
    /// as much as one holder may, and hands the rest on.
    ///
    /// True if any of it waits for a sync. Whoever asked for that may have
    /// gone to sleep before it was committed, so this caller has to see to it.
    fn commit_queued(&self) -> bool {
        let mut owes_sync = false;
        let mut groups_left = self.max_groups_per_holder();
        let guard = self.poison_on_panic("a commit");
        loop {
            let Some(role) = self.commit.writer.try_lock() else { return owes_sync };
            let mut role = guard.holding(role);
            let outcome = self.commit_as_holder(&mut role, groups_left);
            owes_sync |= outcome.owes_sync;
            groups_left -= outcome.groups;
            drop(role);
            fence(Ordering::SeqCst);
            // What finds no room is committed once the background has made some; if it
            // has made some just now it found the role taken.
            let waits = outcome.is_stalled && !self.room_was_made();
            if waits || self.commit.requests.is_empty() {
                return owes_sync;
            }
            if groups_left == 0 {
                self.hand_on();
                return owes_sync;
            }
        }
    }

    /// Commits what is queued, at most `max_groups` groups.
    pub(crate) fn commit_as_holder(
        &self,
        role: &mut Option<Writer>,
        max_groups: usize,
    ) -> Committed {
        let mut outcome = Committed { owes_sync: false, is_stalled: false, groups: 0 };
        while outcome.groups < max_groups && !self.commit.requests.is_empty() {
            let writer = role.as_mut().ok_or(Error::Closed);
            let writer = writer.and_then(|writer| self.poison.check().map(|()| writer));
            let writer = match writer {
                Ok(writer) => writer,
                Err(error) => {
                    self.refuse_queued(&error);
                    continue;
                }
            };
            if self.make_room(writer) {
                let group = self.commit.drain(self.options.wal_batch_size);
                outcome.owes_sync |= self.commit_group(writer, group);
                outcome.groups += 1;
            } else if let Some(error) = self.refusal_for_want_of_room() {
                self.refuse_queued(&error);
            } else {
                outcome.is_stalled = true;
                break;
            }
        }
        outcome
    }

    /// Without threads there is nobody to hand on to.
    fn max_groups_per_holder(&self) -> usize {
        match self.options.background {
            Background::Threads => MAX_GROUPS_PER_HOLDER,
            Background::Manual => usize::MAX,
        }
    }

    fn refuse_queued(&self, error: &Error) {
        refuse(self.commit.drain(usize::MAX), error);
    }

    /// Makes room in the log for all of `group`: a full disk must show before
    /// the first of it is applied.
    fn reserve_log(&self, writer: &mut Writer, group: &[Request]) -> Result<()> {
        let bytes = group.iter().map(|request| request.batch.size_bytes()).sum();
        match self.with_reserve(|| writer.log.reserve(group.len(), bytes)) {
            Err(error) if error.is_out_of_space() => Err(self.no_space()),
            Err(error) => Err(self.poison(format!("cannot extend the log: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    /// Logs, inserts and hands over one group; true if it waits for a sync.
    fn commit_group(&self, writer: &mut Writer, group: Vec<Request>) -> bool {
        if let Err(error) = self.reserve_log(writer, &group) {
            refuse(group, &error);
            return false;
        }
        let mut pending = PendingGroup::new(group.len());
        let view = self.view.load_full();
        let mut failure = None;
        for request in group {
            if let Some(error) = &failure {
                request.completion.complete(Err(Error::clone(error)));
            } else if !expectations_hold(&view, &request.batch) {
                self.counters.conflicts.fetch_add(1, Relaxed);
                request.completion.complete(Err(Error::Conflict));
            } else if let Err(error) = self.append(writer, request, &mut pending) {
                failure = Some(self.poison(format!("cannot append to the log: {error}")));
            }
        }
        if failure.is_none()
            && let Err(error) = writer.log.flush()
        {
            failure = Some(self.poison(format!("cannot append to the log: {error}")));
        }
        if let Some(error) = failure {
            pending.complete_all(&Err(error));
            return false;
        }
        pending.last_seqno = SeqNo(writer.next_seqno.0 - 1);
        self.set_applied(pending.last_seqno);
        self.note_writes_to_full_disk();
        self.counters.groups.fetch_add(1, Relaxed);
        let needs_sync = pending.needs_sync();
        self.hand_over(writer, pending);
        needs_sync
    }

    /// Puts one batch into the log's buffer and the memory table.
    fn append(
        &self,
        writer: &mut Writer,
        mut request: Request,
        pending: &mut PendingGroup,
    ) -> Result<()> {
        let count = request.batch.count();
        if count > 0 {
            let first = writer.next_seqno;
            let payload_bytes = request.batch.size_bytes() as u64;
            if let Err(error) = writer.log.append(request.batch.seal(first)) {
                pending.add(request.completion, request.durability, first, 0);
                return Err(error);
            }
            let mut seqno = first;
            for op in request.batch.ops() {
                writer.memtable.insert(seqno, op.kind, op.key, op.value);
                seqno = seqno.plus(1);
            }
            writer.next_seqno = seqno;
            self.counters.writes.fetch_add(u64::from(count), Relaxed);
            self.counters.batches.fetch_add(1, Relaxed);
            self.counters.user_bytes.fetch_add(payload_bytes, Relaxed);
        }
        let last = SeqNo(writer.next_seqno.0 - 1);
        let bytes = request.batch.size_bytes() as u64;
        pending.add(request.completion, request.durability, last, bytes);
        Ok(())
    }

    /// Slows the writer down or freezes the memory table as needed; false if
    /// nothing can be written before a background thread has made room.
    fn make_room(&self, writer: &mut Writer) -> bool {
        self.pace();
        let view = self.view.load_full();
        let active = &view.active;
        let fill =
            self.options.memtable_flush_size.fill_percent(active.entries(), active.bytes() as u64);
        if fill < SEGMENT_REQUEST_PERCENT {
            return true;
        }
        if !writer.segment_requested {
            writer.segment_requested = true;
            self.segments.request_next();
            self.signals.wake_flush();
        }
        if fill < 100 {
            return true;
        }
        if self.options.background == Background::Manual {
            self.make_room_in_turn();
        }
        if self.view.load().frozen.len() < MAX_FROZEN
            && let Some(next) = self.segments.take_prepared()
        {
            self.freeze(writer, next);
            return true;
        }
        let room = fill < HARD_LIMIT_PERCENT;
        if !room && !writer.is_stalled {
            self.counters.stalls.fetch_add(1, Relaxed);
        }
        writer.is_stalled = !room;
        room
    }
}

/// Answers all of `group` with `error`: nothing of it was written.
fn refuse(group: Vec<Request>, error: &Error) {
    for request in group {
        request.completion.complete(Err(error.clone()));
    }
}

/// The next segment is prepared once the memory table is this full: small data
/// sets never need one.
const SEGMENT_REQUEST_PERCENT: u64 = 25;

/// A memory table that cannot be frozen yet may grow to this share of its size
/// before writers wait: the hard limit of memory.
const HARD_LIMIT_PERCENT: u64 = 200;

/// Frozen memory tables that may wait for their flush.
pub(crate) const MAX_FROZEN: usize = 3;

/// True if nothing has written a key of `batch` after it was read.
///
/// Asks memory only. What cannot be told from there, because a flush came in
/// between, counts as changed: the caller reads again.
fn expectations_hold(view: &View, batch: &WriteBatch) -> bool {
    batch.expectations().iter().all(|expectation| {
        view.flushed_through <= expectation.read_at && !view.is_newer_in_memory(expectation)
    })
}
