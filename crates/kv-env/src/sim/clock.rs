//! A clock that only moves when it is told to.

use std::time::Duration;

use parking_lot::Mutex;

use crate::ports::Clock;

/// 2024-01-01 00:00:00 UTC: where wall clocks of new disks stand.
const FIRST_WALL_MS: u64 = 1_704_067_200_000;

/// A simulated clock.
#[derive(Debug)]
pub struct SimClock {
    now: Mutex<Now>,
}

#[derive(Debug, Clone, Copy)]
struct Now {
    monotonic: Duration,
    wall_ms: u64,
}

impl SimClock {
    /// A clock that stands at the first of January 2024, just started.
    pub fn new() -> SimClock {
        SimClock::starting_at(FIRST_WALL_MS)
    }

    /// A clock of a machine that was just started at this wall time.
    pub fn starting_at(wall_ms: u64) -> SimClock {
        SimClock { now: Mutex::new(Now { monotonic: Duration::ZERO, wall_ms }) }
    }

    /// Lets time pass on both clocks, which stop at the largest time that they
    /// can show.
    pub fn advance(&self, time: Duration) {
        let mut now = self.now.lock();
        now.monotonic = now.monotonic.saturating_add(time);
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        now.wall_ms = now.wall_ms.saturating_add(millis);
    }

    /// Sets the wall clock, forwards or backwards; the monotonic clock goes on
    /// from where it was.
    pub fn set_wall_ms(&self, wall_ms: u64) {
        self.now.lock().wall_ms = wall_ms;
    }
}

impl Default for SimClock {
    fn default() -> SimClock {
        SimClock::new()
    }
}

impl Clock for SimClock {
    fn monotonic(&self) -> Duration {
        self.now.lock().monotonic
    }

    fn wall_ms(&self) -> u64 {
        self.now.lock().wall_ms
    }
}
