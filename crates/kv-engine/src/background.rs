//! The background threads, and the same work one step at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use kv_core::{Error, Result};

use crate::options::Background;
use crate::primitives::schedule_as_background;
use crate::primitives::thread::{self, JoinHandle};
use crate::shared::Shared;
use crate::signals::Wake;

/// A tree that nobody has written to for this long is improved beyond what its
/// policy asks for.
const IDLE_PATIENCE: Duration = Duration::from_secs(2);

/// The threads of an open engine.
#[derive(Default)]
pub(crate) struct Threads {
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts the sync, flush and compaction threads, and that of the scrub
    /// where it is wanted.
    ///
    /// # Errors
    /// `Io` if the system has no thread left. Those that were started run.
    pub(crate) fn start(&mut self, shared: &Arc<Shared>) -> Result<()> {
        type Body = fn(&Shared);
        let mut bodies: Vec<(&str, Body)> = vec![
            ("kv-sync", Shared::run_sync_thread),
            ("kv-flush", Shared::run_flush_thread),
            ("kv-compact", Shared::run_compaction_thread),
        ];
        if shared.options.scrub_bytes_per_second > 0 {
            bodies.push(("kv-scrub", Shared::run_scrub_thread));
        }
        for (name, body) in bodies {
            let shared = Arc::clone(shared);
            let handle = thread::Builder::new()
                .name(name.into())
                .spawn(move || guard(&shared, name, body))
                .map_err(|error| Error::io("start thread", name, error))?;
            self.handles.push(handle);
        }
        Ok(())
    }

    /// True in one of these threads.
    pub(crate) fn is_running_here(&self) -> bool {
        let here = thread::current().id();
        self.handles.iter().any(|handle| handle.thread().id() == here)
    }

    /// Waits for the threads to end; they were told to.
    pub(crate) fn join(self) {
        for handle in self.handles {
            // A panic inside was caught and has poisoned the engine.
            let _ = handle.join();
        }
    }
}

/// A panic in the background poisons the engine: it is never half dead.
fn guard(shared: &Shared, name: &str, body: fn(&Shared)) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(shared))) {
        let what = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("unknown panic");
        shared.poison(format!("thread {name} panicked: {what}"));
    }
}

impl Shared {
    fn run_flush_thread(&self) {
        while self.signals.wait_for_flush(self.space.patience()) != Wake::Closed {
            if self.space.stop_waiting() {
                self.signals.wake_compact();
            }
            self.work(Shared::flush_step);
        }
    }

    fn run_compaction_thread(&self) {
        // Flushes of the sync path must never wait for a compaction's CPU.
        schedule_as_background();
        let mut writes = 0;
        let mut patience = None;
        loop {
            let wake = self.signals.wait_for_compact(patience);
            let writes_before = std::mem::replace(&mut writes, self.counters.writes.load(Relaxed));
            if wake == Wake::PatienceOver && self.space.waits_for().is_some() {
                self.signals.wake_flush();
            }
            patience = match wake {
                Wake::Closed => return,
                Wake::PatienceOver if writes == writes_before => {
                    self.work(|shared| shared.compact_once(true));
                    None
                }
                Wake::PatienceOver | Wake::Called => Some(IDLE_PATIENCE),
            };
            self.work(Shared::compact_step);
            if self.space.waits_for().is_some() {
                // It is the flush thread that has things tried again, and nobody has
                // told it that a compaction found no descriptor or memory.
                patience = Some(IDLE_PATIENCE);
            }
        }
    }

    /// Repeats `step` while it finds work. A full disk is waited for, and so are
    /// file descriptors and memory: a job that finds none has kept what it read
    /// and removed what it wrote. Any other error ends writing: what a background
    /// job cannot do, the next one cannot either.
    fn work(&self, step: fn(&Shared) -> Result<bool>) {
        loop {
            if self.check_open().is_err() || self.poison.error().is_some() {
                return;
            }
            match step(self) {
                Ok(true) => {
                    self.note_space();
                    self.note_progress();
                }
                Ok(false) | Err(Error::Closed) => {
                    // It may have had the writer role, and somebody found it taken.
                    self.serve_queue();
                    return;
                }
                Err(error) if error.is_out_of_space() => {
                    let is_worth_another_attempt = self.note_no_space();
                    self.note_progress();
                    if !is_worth_another_attempt {
                        return;
                    }
                }
                Err(error) if error.is_out_of_resources() => {
                    self.space.retry_after(error);
                    self.note_progress();
                    return;
                }
                Err(error) => {
                    self.poison(format!("background work failed: {error}"));
                    return;
                }
            }
        }
    }

    /// One step of the flush thread's work, most urgent first.
    pub(crate) fn flush_step(&self) -> Result<bool> {
        let _guard = self.poison_on_panic("a flush");
        if self.seal_retired_segments()? {
            return Ok(true);
        }
        // A flush gives space back: that the next segment finds none is no
        // reason to put it off.
        let prepared = match self.prepare_segment() {
            Err(error) if error.is_out_of_space() => Err(error),
            Ok(false) => Ok(false),
            outcome => return outcome,
        };
        if self.flush_oldest()? {
            self.signals.wake_compact();
            return Ok(true);
        }
        Ok(self.collect_garbage()? || prepared? || self.space_step()?)
    }

    /// One step of the compaction thread's work.
    pub(crate) fn compact_step(&self) -> Result<bool> {
        // On a full disk even small gains count.
        let idle = self.space.is_full();
        Ok(self.compact_once(idle)? || self.collect_garbage()?)
    }

    /// Removes the files of tables that nobody refers to any more.
    fn collect_garbage(&self) -> Result<bool> {
        let mut any = false;
        while let Some(name) = self.tables.pop_garbage() {
            if let Err(error) = self.env.fs.remove(&name) {
                self.tables.push_garbage(name);
                return Err(error);
            }
            any = true;
        }
        Ok(any)
    }

    /// One step of any background work, for engines without threads.
    pub(crate) fn background_step(&self) -> Result<bool> {
        if self.options.background == Background::Threads {
            let what = "run_background_step is for Background::Manual: this engine has threads, \
                        which do the work; wait for it with flush or compact";
            return Err(Error::InvalidArgument(what.into()));
        }
        let worked = self.work_for_caller(|| {
            self.space.stop_waiting();
            Ok(self.settle_step(self.flush_step())? || self.settle_step(self.compact_step())?)
        })?;
        self.note_progress();
        Ok(worked)
    }

    /// Judges the outcome of a step for callers without threads; true if it is
    /// worth doing another one.
    pub(crate) fn settle_step(&self, outcome: Result<bool>) -> Result<bool> {
        match outcome {
            Ok(worked) => {
                if worked {
                    self.note_space();
                }
                Ok(worked)
            }
            Err(error) if error.is_out_of_space() => Ok(self.note_no_space()),
            Err(error) if error.is_out_of_resources() => {
                self.space.retry_after(error);
                Ok(false)
            }
            Err(Error::Closed) => Err(Error::Closed),
            Err(error) => Err(self.poison(format!("background work failed: {error}"))),
        }
    }

    /// Without threads the writer does the work it would wait for.
    pub(crate) fn make_room_in_turn(&self) {
        let _turn = self.callers_work.lock();
        while !self.room_was_made() {
            if !self.settle_step(self.flush_step()).unwrap_or(false) {
                return;
            }
        }
    }
}
