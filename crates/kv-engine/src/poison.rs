//! The one-way latch: after a failure that leaves the log's state unknown, or
//! a panic in the background, no write is accepted until the next open.

use std::sync::OnceLock;

use kv_core::{Error, Result};

use crate::primitives::thread;
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
/// Whoever holds a role or a lock of the engine holds one of these as well, made
/// before the lock is taken, so that a panic in the middle of a change never
/// leaves an engine behind that goes on with half of it.
pub(crate) struct PanicGuard<'a> {
    shared: &'a Shared,
    during: &'static str,
    /// An engine may be used, and closed, by a thread that is unwinding.
    was_panicking: bool,
}

impl Shared {
    /// Watches over what follows in the same scope.
    pub(crate) fn poison_on_panic(&self, during: &'static str) -> PanicGuard<'_> {
        PanicGuard { shared: self, during, was_panicking: thread::panicking() }
    }
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() && !self.was_panicking {
            self.shared.poison(format!("a panic during {}", self.during));
        }
    }
}
