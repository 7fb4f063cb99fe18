//! Tells a history that hangs from one that is slow because others use the machine
//! as well.
//!
//! The time on the wall does not: on a busy machine seconds take minutes. A history
//! that gets on uses the processor, as much of it as others leave. So one hangs if
//! it has used its patience up on the processor, or if nothing at all was used for
//! as long on the wall: then it waits for what never comes.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Less than this share of the processor is nothing: between two looks the process
/// itself does hardly more than to look.
const IDLE_SHARE: u32 = 1_000;

/// What is sent by a history that may take `patience` on the processor, while
/// `histories` of them run at the same time in this process.
pub(crate) fn receive<T>(
    outcome: &Receiver<T>,
    patience: Duration,
    histories: u32,
) -> Result<T, RecvTimeoutError> {
    let mut watch = Watch::new(patience, histories, used());
    loop {
        match outcome.recv_timeout(patience) {
            Err(RecvTimeoutError::Timeout) if !watch.hangs(used()) => {}
            ended => return ended,
        }
    }
}

/// Looks at the processor each time that the patience has passed on the wall.
struct Watch {
    patience: Duration,
    histories: u32,
    begun: Duration,
    seen: Duration,
}

impl Watch {
    /// Begins when `used` of the processor has been used.
    fn new(patience: Duration, histories: u32, used: Duration) -> Watch {
        Watch { patience, histories, begun: used, seen: used }
    }

    /// Whether nothing was used since the last look, or by now too much.
    fn hangs(&mut self, used: Duration) -> bool {
        let is_idle = used - self.seen < self.patience / IDLE_SHARE;
        self.seen = used;
        is_idle || used - self.begun >= self.patience * self.histories
    }
}

/// Time that all threads of this process have had on processors.
fn used() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// At which look a history hangs that uses so much of the processor between
    /// two looks; `None` for one that has not after a thousand.
    fn first_hang(histories: u32, step: Duration) -> Option<u32> {
        let begun = Duration::from_secs(5);
        let mut watch = Watch::new(PATIENCE, histories, begun);
        (1..1000).find(|&look| watch.hangs(begun + step * look))
    }

    #[test]
    fn who_waits_for_ever_hangs() {
        assert_eq!(first_hang(u32::MAX, Duration::ZERO), Some(1));
        assert_eq!(first_hang(u32::MAX, PATIENCE / (2 * IDLE_SHARE)), Some(1));
    }

    #[test]
    fn who_gets_on_and_stops_then_hangs() {
        let mut watch = Watch::new(PATIENCE, 100, Duration::ZERO);
        assert!(!watch.hangs(PATIENCE / 2));
        assert!(watch.hangs(PATIENCE / 2));
    }

    #[test]
    fn who_runs_in_circles_hangs_once_all_have_used_their_patience_up() {
        assert_eq!(first_hang(1, PATIENCE), Some(1));
        assert_eq!(first_hang(3, PATIENCE), Some(3));
    }

    /// On a busy machine a history has a small part of the processor.
    #[test]
    fn who_gets_on_slowly_has_as_many_looks_as_it_takes() {
        assert_eq!(first_hang(1, PATIENCE / 100), Some(100));
        assert_eq!(first_hang(20, PATIENCE / 100), None);
    }

    #[test]
    fn who_has_ended_is_heard() {
        let (report, outcome) = mpsc::channel();
        report.send(7).unwrap();
        assert_eq!(receive(&outcome, PATIENCE, 1), Ok(7));
    }

    #[test]
    fn what_is_used_is_seen() {
        let begun = used();
        (0..100_000).for_each(|number| {
            std::hint::black_box(number);
        });
        assert!(used() > begun);
    }

    #[test]
    fn who_never_sends_is_not_waited_for() {
        let (_keeps, outcome) = mpsc::channel::<()>();
        let heard = receive(&outcome, Duration::from_millis(50), 1);
        assert_eq!(heard, Err(RecvTimeoutError::Timeout));
    }
}
