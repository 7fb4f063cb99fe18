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
    let begun = used();
    let mut seen = begun;
    loop {
        match outcome.recv_timeout(patience) {
            Err(RecvTimeoutError::Timeout) => {}
            ended => return ended,
        }
        let now = used();
        let is_idle = now - seen < patience / IDLE_SHARE;
        if is_idle || now - begun >= patience * histories {
            return Err(RecvTimeoutError::Timeout);
        }
        seen = now;
    }
}

/// Time that all threads of this process have had on processors.
fn used() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(30);

    #[test]
    fn who_waits_for_ever_hangs() {
        let (_keeps, outcome) = mpsc::channel::<()>();
        assert_eq!(receive(&outcome, PATIENCE, 1), Err(RecvTimeoutError::Timeout));
    }

    #[test]
    fn who_runs_in_circles_hangs() {
        let (_keeps, outcome) = mpsc::channel::<()>();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            let ended = receive(&outcome, PATIENCE, 1);
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(ended, Err(RecvTimeoutError::Timeout));
        });
    }

    #[test]
    fn who_has_ended_is_heard() {
        let (report, outcome) = mpsc::channel();
        report.send(7).unwrap();
        assert_eq!(receive(&outcome, PATIENCE, 1), Ok(7));
    }
}
