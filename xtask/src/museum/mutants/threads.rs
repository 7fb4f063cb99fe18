//! Bugs of the hand-over between threads, which only some orders of their steps
//! bring to light: wake-ups that get lost, a second look that is not taken, a
//! lock that is not held.

use super::{Hunt, Mutant};

pub(super) const MUTANTS: [Mutant; 30] = [
    Mutant {
        name: "synced-through-too-far",
        hunt: Hunt::Schedules("commit::writers_of_all_kinds"),
        bug: "what was appended during a sync counts as synced (RocksDB #10560, Pebble vfsSync)",
        file: "kv-engine/src/sync.rs",
        original: "                self.finish(pending, target)",
        code: "                let target = if MUTANT { pending.appended } else { target };
                self.finish(pending, target)",
    },
    Mutant {
        name: "sync-of-the-old-segment",
        hunt: Hunt::Schedules("commit::stalled_and_sleeping"),
        bug: "writes of the new log are answered after a sync of the old one",
        file: "kv-engine/src/sync.rs",
        original: "        pending.handle = writer.log.sync_handle();",
        code: "        if !MUTANT {
            pending.handle = writer.log.sync_handle();
        }",
    },
    Mutant {
        name: "overtaken-in-the-queue",
        hunt: Hunt::Schedules("commit::writers_of_all_kinds"),
        bug: "an unsynced write is visible before the synced one it follows",
        file: "kv-engine/src/sync.rs",
        original: "|| !pending.groups.is_empty()",
        code: "|| (!MUTANT && !pending.groups.is_empty())",
    },
    Mutant {
        name: "no-second-look-at-the-queue",
        hunt: Hunt::Schedules("left_behind::whoever_leaves"),
        bug: "a request that came while the writer role was given up is left behind",
        file: "kv-engine/src/commit.rs",
        original: "            if waits || self.commit.requests.is_empty()",
        code: "            if MUTANT || waits || self.commit.requests.is_empty()",
    },
    Mutant {
        name: "room-made-too-early",
        hunt: Hunt::Schedules("overtaken::a_writer_that_found_no_room"),
        bug: "room that is made while a stalled writer gives its role up goes unnoticed",
        file: "kv-engine/src/commit.rs",
        original: "outcome.is_stalled && !self.room_was_made()",
        code: "outcome.is_stalled && (MUTANT || !self.room_was_made())",
    },
    Mutant {
        name: "progress-without-driving",
        hunt: Hunt::Schedules("commit::stalled_and_sleeping"),
        bug: "the background makes room and serves nobody who waits for it",
        file: "kv-engine/src/commit.rs",
        original: "        if !self.commit.requests.is_empty() {",
        code: "        if !MUTANT && !self.commit.requests.is_empty() {",
    },
    Mutant {
        name: "handed-on-to-nobody",
        hunt: Hunt::Schedules("left_behind::what_a_holder"),
        bug: "a holder of the writer role lets go of more requests, and nobody goes on",
        file: "kv-engine/src/commit.rs",
        original: "        self.commit.is_handed_on.store(true, Ordering::Release);",
        code: "        self.commit.is_handed_on.store(!MUTANT, Ordering::Release);",
    },
    Mutant {
        name: "writer-role-kept-for-ever",
        hunt: Hunt::Test("concurrency::a_caller_is_let_go"),
        bug: "a caller commits for others as long as they keep writing",
        file: "kv-engine/src/commit.rs",
        original: "            Background::Threads => MAX_GROUPS_PER_HOLDER,",
        code: "            Background::Threads if MUTANT => usize::MAX,
            Background::Threads => MAX_GROUPS_PER_HOLDER,",
    },
    Mutant {
        name: "given-up-in-silence",
        hunt: Hunt::Schedules("left_behind::a_compaction"),
        bug: "a plan is given up, and a compaction that waits for its tables waits for ever",
        file: "kv-engine/src/compact.rs",
        original: "            self.signals.announce_progress();",
        code: "            if !MUTANT {
                self.signals.announce_progress();
            }",
    },
    Mutant {
        name: "garbage-without-a-call",
        hunt: Hunt::Schedules("left_behind::the_files"),
        bug: "files that a snapshot has held stay until the next write",
        file: "kv-engine/src/live_table.rs",
        original: "            signals.wake_compact();",
        code: "            if !MUTANT {
                signals.wake_compact();
            }",
    },
    Mutant {
        name: "sleeping-writers-left-unsynced",
        hunt: Hunt::Schedules("commit::segments_are_switched"),
        bug: "a flush on demand commits for a sleeping writer and asks for no sync",
        file: "kv-engine/src/commit.rs",
        original: "        if self.commit_queued() {
            self.request_sync();",
        code: "        if self.commit_queued() && !MUTANT {
            self.request_sync();",
    },
    Mutant {
        name: "owed-sync-forgotten",
        hunt: Hunt::Schedules("commit::writers_of_all_kinds"),
        bug: "a writer that has its own answer leaves the sync of the others' writes to luck",
        file: "kv-engine/src/commit.rs",
        original: "            if let Some(result) = waiter.poll() {
                if owes_sync {",
        code: "            if let Some(result) = waiter.poll() {
                if owes_sync && !MUTANT {",
    },
    Mutant {
        name: "sync-role-left-without-a-look",
        hunt: Hunt::Schedules("overtaken::whoever_leaves"),
        bug: "a group that came while the sync role was given up is never synced",
        file: "kv-engine/src/sync.rs",
        original: "        let wants_sync = self.sync.pending.lock().wants_sync();",
        code: "        let wants_sync = !MUTANT && self.sync.pending.lock().wants_sync();",
    },
    Mutant {
        name: "answer-after-done",
        hunt: Hunt::Schedules("commit::writers_of_all_kinds"),
        bug: "a writer is told to take an answer that is not there yet",
        file: "kv-engine/src/waiter.rs",
        original: "        *self.result.lock() = Some(result);
        self.done.store(true, Ordering::Release);",
        code: "        if MUTANT {
            self.done.store(true, Ordering::Release);
        }
        *self.result.lock() = Some(result);
        self.done.store(true, Ordering::Release);",
    },
    Mutant {
        name: "woken-before-the-answer",
        hunt: Hunt::Schedules("overtaken::a_sleeping_writer"),
        bug: "a writer is woken, finds no answer, and sleeps for ever",
        file: "kv-engine/src/waiter.rs",
        original: "    fn complete(&self, result: Result<SeqNo>) {",
        code: "    fn complete(&self, result: Result<SeqNo>) {
        if MUTANT {
            self.thread.unpark();
            *self.result.lock() = Some(result);
            self.done.store(true, Ordering::Release);
            return;
        }",
    },
    Mutant {
        name: "groups-in-flight-unanswered",
        hunt: Hunt::Schedules("failing::a_failed_sync_of_the_log"),
        bug: "a failure is latched, and those who wait for a sync wait for ever",
        file: "kv-engine/src/sync.rs",
        original: "            std::mem::take(&mut pending.groups)",
        code: "            let groups = std::mem::take(&mut pending.groups);
            if MUTANT {
                std::mem::forget(groups);
                VecDeque::new()
            } else {
                groups
            }",
    },
    Mutant {
        name: "late-group-unanswered",
        hunt: Hunt::Schedules("failing::a_failed_sync_of_the_log"),
        bug: "a group that is handed over after a failure was latched waits for ever",
        file: "kv-engine/src/sync.rs",
        original: "        if let Some(error) = self.poison.error() {
            drop(pending);",
        code: "        if let Some(error) = self.poison.error().filter(|_| !MUTANT) {
            drop(pending);",
    },
    Mutant {
        name: "stalled-writers-left-alone",
        hunt: Hunt::Schedules("overtaken::a_failed_sync_answers"),
        bug: "a failure is latched, and those who found no room wait for ever",
        file: "kv-engine/src/sync.rs",
        original: "        self.drive_writer();
        error",
        code: "        if !MUTANT {
            self.drive_writer();
        }
        error",
    },
    Mutant {
        name: "failure-wakes-nobody",
        hunt: Hunt::Schedules("failing::a_flush_on_demand"),
        bug: "a failure is latched, and a flush on demand waits for a background that has stopped",
        file: "kv-engine/src/sync.rs",
        original: "            group.complete_all(&Err(error.clone()));
        }",
        code: "            group.complete_all(&Err(error.clone()));
        }
        if MUTANT {
            self.drive_writer();
            return error;
        }",
    },
    Mutant {
        name: "log-synced-by-two-at-once",
        hunt: Hunt::Schedules("failing::a_failed_sync_beside"),
        bug: "of two syncs one is told of lost pages, and the other acknowledges (Pebble vfsSync)",
        file: "kv-engine/src/sync.rs",
        original: "        let role = self.sync_role();
        self.poison.check()?;",
        code: "        if MUTANT {
            self.poison.check()?;
            log.sync().map_err(|error| self.poison(format!(\"cannot sync the log: {error}\")))?;
            return Ok(self.sync_role());
        }
        let role = self.sync_role();
        self.poison.check()?;",
    },
    Mutant {
        name: "directory-synced-by-two-at-once",
        hunt: Hunt::Schedules("failing::a_failed_sync_of_the_directory"),
        bug: "of two syncs one is told of lost names, and the other lets the manifest name them",
        file: "kv-engine/src/shared.rs",
        original: "        let _turn = self.directory.lock();",
        code: "        let _turn = (!MUTANT).then(|| self.directory.lock());",
    },
    Mutant {
        name: "circles-around-a-failure",
        hunt: Hunt::Schedules("overtaken::the_sync_thread_rests"),
        bug: "the sync thread wakes itself for groups that it cannot sync any more",
        file: "kv-engine/src/sync.rs",
        original: "        if wants_sync && self.poison.error().is_none() {",
        code: "        if wants_sync && (MUTANT || self.poison.error().is_none()) {",
    },
    Mutant {
        name: "full-disk-without-a-pause",
        hunt: Hunt::Schedules("overtaken::a_full_disk"),
        bug: "every failure for lack of space starts the next attempt",
        file: "kv-engine/src/space.rs",
        original: "        if is_news {",
        code: "        if MUTANT {
            self.signals.wake_flush();
        }
        if is_news {",
    },
    Mutant {
        name: "next-segment-made-twice",
        hunt: Hunt::Schedules("overtaken::a_segment_is_not_made_twice"),
        bug: "a segment is made under the name of one that a freeze has just taken",
        file: "kv-engine/src/segments.rs",
        original: "            if !state.requested || state.next_name_is_taken() {",
        code: "            let is_taken = if MUTANT {
                state.prepared.is_some() || !state.retired.is_empty()
            } else {
                state.next_name_is_taken()
            };
            if !state.requested || is_taken {",
    },
    Mutant {
        name: "retired-segment-left-unsealed",
        hunt: Hunt::Schedules("overtaken::a_flush_that_overtakes"),
        bug: "a flush removes the segment of a memory table under the active name",
        file: "kv-engine/src/flush.rs",
        original: "        self.seal_retired_segments()?;",
        code: "        if !MUTANT {
            self.seal_retired_segments()?;
        }",
    },
    Mutant {
        name: "frozen-before-retired",
        hunt: Hunt::Schedules("commit::segments_are_switched"),
        bug: "a flush sees a memory table whose segment is not on its way yet",
        file: "kv-engine/src/freeze.rs",
        original: FREEZE_TAIL,
        code: FREEZE_TAIL_REORDERED,
    },
    Mutant {
        name: "more-memory-tables-than-allowed",
        hunt: Hunt::Schedules("overtaken::no_more_memory_tables"),
        bug: "writers fill memory tables faster than they are flushed, without a bound",
        file: "kv-engine/src/commit.rs",
        original: "        if self.view.load().frozen.len() < MAX_FROZEN
            && let",
        code: "        if (MUTANT || self.view.load().frozen.len() < MAX_FROZEN)
            && let",
    },
    Mutant {
        name: "view-changed-without-its-lock",
        hunt: Hunt::Schedules("swapped::an_install"),
        bug: "of a freeze and an install at once one is lost",
        file: "kv-engine/src/shared.rs",
        original: "        let _guard = self.view_change.lock();",
        code: "        let _guard = (!MUTANT).then(|| self.view_change.lock());",
    },
    Mutant {
        name: "queue-left-behind-at-close",
        hunt: Hunt::Schedules("closing::the_last_write"),
        bug: "a write that came while the engine closed is never answered",
        file: "kv-engine/src/close.rs",
        original: "        self.drive_writer();
        outcome",
        code: "        if !MUTANT {
            self.drive_writer();
        }
        outcome",
    },
    Mutant {
        name: "closing-tells-nobody",
        hunt: Hunt::Schedules("closing::a_close_finds"),
        bug: "a flush on demand waits for a thread that has ended",
        file: "kv-engine/src/signals.rs",
        original: "        self.scrub.close();
        self.announce_progress();",
        code: "        self.scrub.close();
        if !MUTANT {
            self.announce_progress();
        }",
    },
];

const FREEZE_TAIL: &str = "        self.segments.retire(old_segment, old_log);
        self.change_view(|view| {
            let frozen =
                Frozen { memtable: Arc::clone(&view.active), last_seqno, next_segment: next.id };
            View {
                active: memtable,
                frozen: std::iter::once(Arc::new(frozen)).chain(view.frozen.clone()).collect(),
                version: Arc::clone(&view.version),
                flushed_through: view.flushed_through,
            }
        });";

const FREEZE_TAIL_REORDERED: &str = "        let late = if MUTANT {
            Some(old_log)
        } else {
            self.segments.retire(old_segment, old_log);
            None
        };
        self.change_view(|view| {
            let frozen =
                Frozen { memtable: Arc::clone(&view.active), last_seqno, next_segment: next.id };
            View {
                active: memtable,
                frozen: std::iter::once(Arc::new(frozen)).chain(view.frozen.clone()).collect(),
                version: Arc::clone(&view.version),
                flushed_through: view.flushed_through,
            }
        });
        if let Some(log) = late {
            self.segments.retire(old_segment, log);
        }";
