//! The one-way latch: after a failure that leaves the log's state unknown, or
//! a panic in the background, no write is accepted until the next open.

use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use kv_core::{Error, Result};

use crate::primitives::{MutexGuard, thread};
use crate::shared::Shared;

/// Set once, never cleared.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    cause: OnceLock<String>,
}

impl Poison {
    /// Latches `cause` unless an earlier failure did so already.
    pub(crate) fn set(&self, cause: impl Into<String>) {
        // The first failure is the one worth reading.
        let _ = self.cause.set(cause.into());
    }

    /// The error every write gets, once latched.
    pub(crate) fn error(&self) -> Option<Error> {
        self.cause.get().map(|cause| Error::Poisoned { cause: cause.clone() })
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.error().map_or(Ok(()), Err)
    }
}

/// Poisons the engine if it is dropped by a panic.
///
/// Whoever holds a role or a lock of the engine holds one of these as well, so that
/// a panic in the middle of a change never leaves an engine behind that goes on
/// with half of it. It is made before the lock is taken: to answer all writes it
/// may have to take the writer role. The lock itself is kept in a
/// [`Held`], which sets the latch before the next one can take it.
pub(crate) struct PanicGuard<'a> {
    shared: &'a Shared,
    during: &'static str,
    /// An engine may be used, and closed, by a thread that is unwinding.
    was_panicking: bool,
}

/// A lock that is not free again, after a panic, before the latch is set.
pub(crate) struct Held<'a, T> {
    // In this order: the latch, then the lock.
    _latch: Latch<'a>,
    lock: MutexGuard<'a, T>,
}

struct Latch<'a> {
    poison: &'a Poison,
    during: &'static str,
    was_panicking: bool,
}

impl Shared {
    /// Watches over what follows in the same scope.
    pub(crate) fn poison_on_panic(&self, during: &'static str) -> PanicGuard<'_> {
        PanicGuard { shared: self, during, was_panicking: thread::panicking() }
    }

    /// Keeps `lock`, whose holder is watched over already.
    pub(crate) fn held<'a, T>(
        &'a self,
        during: &'static str,
        lock: MutexGuard<'a, T>,
    ) -> Held<'a, T> {
        let was_panicking = thread::panicking();
        Held { _latch: Latch { poison: &self.poison, during, was_panicking }, lock }
    }
}

impl<'a> PanicGuard<'a> {
    /// Keeps `lock`, which was taken after this guard was made.
    pub(crate) fn holding<T>(&self, lock: MutexGuard<'a, T>) -> Held<'a, T> {
        self.shared.held(self.during, lock)
    }
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() && !self.was_panicking {
            self.shared.poison(cause_of_panic(self.during));
        }
    }
}

impl Drop for Latch<'_> {
    fn drop(&mut self) {
        if thread::panicking() && !self.was_panicking {
            self.poison.set(cause_of_panic(self.during));
        }
    }
}

fn cause_of_panic(during: &str) -> String {
    format!("a panic during {during}")
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.lock
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.lock
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use kv_env::SimDisk;

    use super::*;
    use crate::options::{Background, Options};

    /// Notes, when it is dropped, whether the latch is set.
    struct Look<'a>(&'a Poison, &'a Cell<bool>);

    impl Drop for Look<'_> {
        fn drop(&mut self) {
            self.1.set(self.0.error().is_some());
        }
    }

    /// A mended bug: the next one to take the lock went on with half a change.
    #[test]
    fn after_a_panic_no_lock_is_free_before_the_latch_is_set() {
        let options = Options { background: Background::Manual, ..Options::default() };
        let shared = crate::recovery::recover(SimDisk::new(1).env(), options).unwrap();
        let was_set = Cell::new(false);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let guard = shared.poison_on_panic("a test");
            let _when_free = Look(&shared.poison, &was_set);
            let _role = guard.holding(shared.commit.writer.lock());
            panic!("in the middle of a change");
        }));
        assert!(panicked.is_err() && was_set.get());
    }
}
