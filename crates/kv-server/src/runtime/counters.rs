//! What `INFO` counts, in plain atomics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters since the start or the last `CONFIG RESETSTAT`.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) runs: AtomicU64,
    pub(crate) runs_repeated: AtomicU64,
    pub(crate) error_replies: AtomicU64,
    pub(crate) protocol_errors: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) auth_failures: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) output_limit_disconnections: AtomicU64,
    pub(crate) keys_swept: AtomicU64,
}

impl Counters {
    pub(crate) fn reset(&self) {
        for counter in [
            &self.connections,
            &self.connections_refused,
            &self.commands,
            &self.runs,
            &self.runs_repeated,
            &self.error_replies,
            &self.protocol_errors,
            &self.bytes_in,
            &self.bytes_out,
            &self.auth_failures,
            &self.timeouts,
            &self.output_limit_disconnections,
            &self.keys_swept,
        ] {
            counter.store(0, Relaxed);
        }
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Relaxed);
}
