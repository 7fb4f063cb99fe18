//! The version of a node: how a reader learns that it raced with the writer.
//!
//! The number is odd while the writer changes the node and grows by two with
//! every change. A reader
//!
//! 1. waits for an even number and remembers it ([`OptimisticLock::read`]),
//! 2. loads fields,
//! 3. uses what it loaded only if the number is still the same
//!    ([`OptimisticLock::is_still`]), else starts again.
//!
//! Fields are stored with `Release` and loaded with `Acquire`. A reader that
//! loads a field stored inside a change therefore also sees the odd number that
//! was stored before it, and step 3 fails. No fence is needed, and on x86 all of
//! this is plain loads and stores.

use super::sync::{AtomicU64, Ordering, pause};

/// Version of a node; one writer, many readers.
pub(crate) struct OptimisticLock {
    version: AtomicU64,
}

/// A version as seen by a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeenVersion(u64);

/// Proof that the writer is inside a change of the node.
pub(crate) struct WriteGuard<'a> {
    lock: &'a OptimisticLock,
    before: u64,
}

impl OptimisticLock {
    pub(crate) fn new() -> OptimisticLock {
        OptimisticLock { version: AtomicU64::new(0) }
    }

    /// Waits until no change is in progress.
    #[inline]
    pub(crate) fn read(&self) -> SeenVersion {
        let mut spins = 0;
        loop {
            let version = self.version.load(Ordering::Acquire);
            if version.is_multiple_of(2) {
                return SeenVersion(version);
            }
            pause(spins);
            spins += 1;
        }
    }

    /// True if nothing loaded since `seen` can be part of a later change.
    #[inline]
    pub(crate) fn is_still(&self, seen: SeenVersion) -> bool {
        self.version.load(Ordering::Acquire) == seen.0
    }

    /// Begins a change; only the one writer may. It ends when the guard drops.
    pub(crate) fn write(&self) -> WriteGuard<'_> {
        let before = self.version.load(Ordering::Relaxed);
        assert!(before.is_multiple_of(2), "a node is changed once at a time");
        self.version.store(before + 1, Ordering::Relaxed);
        WriteGuard { lock: self, before }
    }
}

impl WriteGuard<'_> {
    /// True if this is the guard of `lock`.
    pub(crate) fn guards(&self, lock: &OptimisticLock) -> bool {
        std::ptr::eq(self.lock, lock)
    }
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        self.lock.version.store(self.before + 2, Ordering::Release);
    }
}
