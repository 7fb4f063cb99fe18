//! Flushing on demand, and closing.

use std::sync::atomic::Ordering;

use kv_core::{Error, Result, SeqNo};

use crate::commit::Writer;
use crate::options::Background;
use crate::shared::Shared;

impl Shared {
    /// Freezes the active memory table and waits until all of it is in tables.
    pub(crate) fn flush_all(&self) -> Result<()> {
        let target = self.freeze_active()?;
        loop {
            let seen = self.signals.progress();
            self.check_running()?;
            if self.view.load().flushed_through >= target {
                return Ok(());
            }
            self.wait_for_flush_step(seen)?;
            self.check_space()?;
        }
    }

    /// Freezes the active memory table unless it is empty. Returns the last
    /// write before the freeze.
    fn freeze_active(&self) -> Result<SeqNo> {
        loop {
            let seen = self.signals.progress();
            self.check_running()?;
            let guard = self.poison_on_panic("a freeze");
            let mut role = guard.holding(self.commit.writer.lock());
            let frozen = role.as_mut().map(|writer| {
                let last = SeqNo(writer.next_seqno.0 - 1);
                self.freeze_unless_empty(writer).map(|_| last)
            });
            drop(role);
            // Who came meanwhile found the role taken.
            self.drive_writer();
            if let Some(last) = frozen.ok_or(Error::Closed)? {
                return Ok(last);
            }
            self.wait_for_flush_step(seen)?;
            self.check_space()?;
        }
    }

    /// Waits for the background to do something, or does it where there is no
    /// background.
    fn wait_for_flush_step(&self, seen: u64) -> Result<()> {
        match self.options.background {
            Background::Threads => {
                self.signals.wake_flush();
                self.signals.wait_beyond(seen);
                Ok(())
            }
            Background::Manual => {
                self.space.stop_waiting();
                self.work_for_caller(|| self.settle_step(self.flush_step()))?;
                // It may have had the writer role.
                self.drive_writer();
                Ok(())
            }
        }
    }

    pub(crate) fn check_running(&self) -> Result<()> {
        self.check_open()?;
        self.poison.check()
    }

    /// Ends writing: commits what is queued and syncs it.
    pub(crate) fn shut_down(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let guard = self.poison_on_panic("a close");
        self.cancel.store(true, Ordering::Release);
        let writer = {
            let mut role = guard.holding(self.commit.writer.lock());
            // All that there is room for; the sync comes with the end of the log.
            self.commit_as_holder(&mut role, usize::MAX);
            // From here on the queue is answered with `Closed`.
            role.take()
        };
        let outcome = match writer {
            Some(writer) if self.poison.check().is_ok() => self.finish_log(writer),
            _ => Ok(()),
        };
        self.sync.acknowledgements.tell();
        self.drive_writer();
        outcome
    }

    /// Syncs and acknowledges all that is in the log, and marks its end.
    fn finish_log(&self, mut writer: Writer) -> Result<()> {
        let _role = self.sync_last(&mut writer.log)?;
        self.acknowledge_all();
        let marked = self.with_reserve(|| writer.log.finish());
        self.is_log_marked.store(marked.is_ok(), Ordering::Release);
        unless_full(marked.map_err(|error| self.end_of_log_failed(error)))
    }

    /// Marks log and manifest as complete and releases the directory. The mark
    /// of the manifest says that the log has its own: an open relies on that.
    ///
    /// Of several closes one does it; the others learn of a failure as well.
    pub(crate) fn finish_files(&self) -> Result<()> {
        let Some(_lock) = self.lock.lock().take() else { return self.poison.check() };
        self.mark_files().inspect_err(|error| drop(self.poison(format!("closing: {error}"))))
    }

    fn mark_files(&self) -> Result<()> {
        let guard = self.poison_on_panic("a close");
        // Callers at work end it here, and find the database closed after.
        let _work = self.callers_work.lock();
        let _pass = self.scrub.between_slices();
        self.poison.check()?;
        let sealed = self.with_reserve(|| self.seal_retired_segments()).map(|_| ());
        if sealed.is_err() || !self.is_log_marked.load(Ordering::Acquire) {
            return unless_full(sealed);
        }
        let next_file_id = self.next_file_id.load(Ordering::Relaxed);
        let scrub = self.scrub.place();
        let mut manifest = guard.holding(self.manifest.lock());
        if manifest.is_damaged() {
            // Its replacement found no room before; the next open would refuse it.
            self.rotate_manifest(&mut manifest)?;
        }
        unless_full(self.with_reserve(|| manifest.finish(next_file_id, scrub)))
    }
}

/// The marks of a proper close only let the next open be stricter: that there is
/// no space for them is no reason to say that the close failed.
fn unless_full(outcome: Result<()>) -> Result<()> {
    match outcome {
        Err(error) if error.is_out_of_space() => Ok(()),
        outcome => outcome,
    }
}
