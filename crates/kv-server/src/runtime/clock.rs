//! The time of the edge: the one place where the server reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Wall time for expiry, monotonic time for timeouts.
#[derive(Debug)]
pub(crate) struct ServerClock {
    started: Instant,
}

impl ServerClock {
    #[allow(clippy::disallowed_methods, reason = "the edge gives commands their time")]
    pub(crate) fn start() -> ServerClock {
        ServerClock { started: Instant::now() }
    }

    /// Milliseconds since the server started; never goes backwards.
    pub(crate) fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Milliseconds since 1970-01-01 UTC.
#[allow(clippy::disallowed_methods, reason = "the edge gives commands their time")]
pub(crate) fn wall_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}
