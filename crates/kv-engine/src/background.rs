//! The background threads, and the same work one step at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kv_core::{Error, Result};

use crate::shared::Shared;
use crate::signals::Wake;

/// A tree that nobody has written to for this long is improved beyond what its
/// policy asks for.
const IDLE_PATIENCE: Duration = Duration::from_secs(2);

/// The threads of an open engine.
pub(crate) struct Threads {
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts the sync, flush and compaction threads.
    pub(crate) fn start(shared: &Arc<Shared>) -> Result<Threads> {
        let mut handles = Vec::new();
        type Body = fn(&Shared);
        let bodies: [(&str, Body); 3] = [
            ("kv-sync", Shared::run_sync_thread),
            ("kv-flush", Shared::run_flush_thread),
            ("kv-compact", Shared::run_compaction_thread),
        ];
        for (name, body) in bodies {
            let shared = Arc::clone(shared);
            let handle = thread::Builder::new()
                .name(name.into())
                .spawn(move || guard(&shared, name, body))
                .map_err(|error| Error::io("start thread", name, error))?;
            handles.push(handle);
        }
        Ok(Threads { handles })
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
        shared.signals.announce_progress();
    }
}

impl Shared {
    fn run_flush_thread(&self) {
        while self.signals.wait_for_flush() != Wake::Closed {
            self.work(Shared::flush_step);
        }
    }

    fn run_compaction_thread(&self) {
        // Flushes of the sync path must never wait for a compaction's CPU.
        kv_env::schedule_as_background();
        let mut writes = 0;
        let mut patience = None;
        loop {
            let wake = self.signals.wait_for_compact(patience);
            let writes_before = std::mem::replace(&mut writes, self.counters.writes.load(Relaxed));
            patience = match wake {
                Wake::Closed => return,
                Wake::PatienceOver if writes == writes_before => {
                    self.work(|shared| shared.compact_once(true));
                    None
                }
                Wake::PatienceOver | Wake::Called => Some(IDLE_PATIENCE),
            };
            self.work(Shared::compact_step);
        }
    }

    /// Repeats `step` while it finds work. An error ends writing: what a
    /// background job cannot do, the next one cannot either.
    fn work(&self, step: fn(&Shared) -> Result<bool>) {
        loop {
            if self.check_open().is_err() || self.poison.error().is_some() {
                return;
            }
            match step(self) {
                Ok(true) => self.note_progress(),
                Ok(false) => return,
                Err(Error::Closed) => return,
                Err(error) => {
                    self.poison(format!("background work failed: {error}"));
                    self.note_progress();
                    return;
                }
            }
        }
    }

    /// One step of the flush thread's work, most urgent first.
    pub(crate) fn flush_step(&self) -> Result<bool> {
        if self.seal_retired_segments()? || self.prepare_segment()? {
            return Ok(true);
        }
        if self.flush_oldest()? {
            self.signals.wake_compact();
            return Ok(true);
        }
        self.collect_garbage()
    }

    /// One step of the compaction thread's work.
    pub(crate) fn compact_step(&self) -> Result<bool> {
        Ok(self.compact_once(false)? || self.collect_garbage()?)
    }

    /// Removes the files of tables that nobody refers to any more.
    fn collect_garbage(&self) -> Result<bool> {
        let mut any = false;
        while let Some(name) = self.garbage.pop() {
            self.env.fs.remove(&name)?;
            any = true;
        }
        Ok(any)
    }

    /// One step of any background work, for engines without threads.
    pub(crate) fn background_step(&self) -> Result<bool> {
        self.check_open()?;
        self.poison.check()?;
        let outcome = match self.flush_step() {
            Ok(false) => self.compact_step(),
            other => other,
        };
        match outcome {
            Ok(worked) => {
                self.note_progress();
                Ok(worked)
            }
            Err(error) => Err(self.poison(format!("background work failed: {error}"))),
        }
    }

    /// Without threads the writer does the work it would wait for.
    pub(crate) fn make_room_in_turn(&self) {
        while !self.room_was_made() {
            match self.flush_step() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    self.poison(format!("background work failed: {error}"));
                    return;
                }
            }
        }
    }
}
