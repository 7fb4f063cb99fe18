//! The server's time, from the clock of its environment.
//!
//! Expiry and timeouts both rest on the monotonic clock. The wall clock is asked
//! how far ahead of it real time is, and only ever moves that forwards: when the
//! wall clock is set back, the server's time goes on from where it was, so an
//! expired key does not come back and a new one lives as long as it was told.
//! A server that was started under a clock in the future stays there until it
//! is started again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use kv_env::Clock;

/// Wall time for expiry, monotonic time for timeouts.
#[derive(Debug)]
pub(crate) struct ServerClock {
    clock: Arc<dyn Clock>,
    started: Duration,
    /// The most milliseconds that the wall clock has been ahead of the
    /// monotonic one.
    ahead_ms: AtomicU64,
}

impl ServerClock {
    pub(crate) fn start(clock: Arc<dyn Clock>) -> ServerClock {
        let started = clock.monotonic();
        ServerClock { clock, started, ahead_ms: AtomicU64::new(0) }
    }

    /// Milliseconds since the server started; never goes backwards.
    pub(crate) fn uptime_ms(&self) -> u64 {
        millis(self.clock.monotonic().saturating_sub(self.started))
    }

    /// Milliseconds since 1970-01-01 UTC; never goes backwards.
    pub(crate) fn wall_ms(&self) -> u64 {
        let monotonic_ms = millis(self.clock.monotonic());
        let ahead_ms = self.clock.wall_ms().saturating_sub(monotonic_ms);
        let most_ms = self.ahead_ms.load(Relaxed);
        if ahead_ms > most_ms {
            self.ahead_ms.fetch_max(ahead_ms, Relaxed);
        }
        monotonic_ms.saturating_add(ahead_ms.max(most_ms))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv_env::SimClock;

    #[test]
    fn time_never_goes_back_and_always_goes_on() {
        let sim = Arc::new(SimClock::starting_at(1_000_000));
        sim.advance(Duration::from_millis(500));
        let clock = ServerClock::start(Arc::clone(&sim) as Arc<dyn Clock>);
        assert_eq!((clock.uptime_ms(), clock.wall_ms()), (0, 1_000_500));
        sim.set_wall_ms(9);
        assert_eq!(clock.wall_ms(), 1_000_500, "set back");
        sim.advance(Duration::from_millis(7));
        assert_eq!((clock.uptime_ms(), clock.wall_ms()), (7, 1_000_507), "time goes on");
        sim.set_wall_ms(2_000_000);
        assert_eq!(clock.wall_ms(), 2_000_000, "set forwards");
        sim.set_wall_ms(0);
        sim.advance(Duration::from_millis(1));
        assert_eq!(clock.wall_ms(), 2_000_001);
        sim.set_wall_ms(u64::MAX);
        sim.advance(Duration::MAX);
        assert_eq!(clock.wall_ms(), u64::MAX, "the end of time is no overflow");
    }
}
