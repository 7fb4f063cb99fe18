//! The one-way latch: after a failure that leaves the log's state unknown, or
//! a panic in the background, no write is accepted until the next open.

use std::sync::OnceLock;

use kv_core::{Error, Result};

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
