//! Clocks, randomness, scheduling.

use std::time::Duration;

use kv_env::{Clock, Entropy, Env, SimDisk, SystemClock, SystemEntropy};

/// 2020-01-01: no build of this project runs on a clock before it.
const BEFORE_ANY_BUILD_MS: u64 = 1_577_836_800_000;

#[test]
fn the_system_clock_goes_forward() {
    let clock = SystemClock::new();
    let first = clock.monotonic();
    assert!(clock.monotonic() >= first);
    assert!(clock.wall_ms() > BEFORE_ANY_BUILD_MS);
}

#[test]
fn the_monotonic_clock_never_goes_back_for_any_thread() {
    let clock = SystemClock::new();
    let latest = std::sync::Mutex::new(Duration::ZERO);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    // The lock orders the readings of all threads.
                    let mut latest = latest.lock().unwrap();
                    let now = clock.monotonic();
                    assert!(now >= *latest, "{now:?} after {latest:?}");
                    *latest = now;
                }
            });
        }
    });
}

#[test]
fn a_simulated_wall_clock_jumps_and_the_monotonic_one_does_not() {
    let disk = SimDisk::new(1);
    let (clock, handle) = (disk.env().clock, disk.clock());
    let mut before = clock.monotonic();
    for wall_ms in [u64::MAX, 0, 1, u64::MAX - 1, BEFORE_ANY_BUILD_MS] {
        handle.set_wall_ms(wall_ms);
        assert_eq!((clock.wall_ms(), clock.monotonic()), (wall_ms, before));
        handle.advance(Duration::from_millis(2));
        assert_eq!(clock.wall_ms(), wall_ms.saturating_add(2));
        assert!(clock.monotonic() > before);
        before = clock.monotonic();
    }
    // Restarted machines start with the wall clock where it was.
    assert_eq!(disk.crash(kv_env::CrashChoice::All).env().clock.wall_ms(), clock.wall_ms());
    handle.advance(Duration::MAX);
    assert_eq!((clock.wall_ms(), clock.monotonic()), (u64::MAX, Duration::MAX));
}

#[test]
fn system_identities_differ() {
    assert_ne!(SystemEntropy.random_id(), SystemEntropy.random_id());
}

#[test]
fn a_simulated_clock_moves_when_told() {
    let disk = SimDisk::new(1);
    let Env { clock, .. } = disk.env();
    let (start, wall_ms) = (clock.monotonic(), clock.wall_ms());
    assert_eq!((clock.monotonic(), clock.wall_ms()), (start, wall_ms));
    disk.clock().advance(Duration::from_millis(1500));
    assert_eq!(clock.monotonic() - start, Duration::from_millis(1500));
    assert_eq!(clock.wall_ms() - wall_ms, 1500);
    disk.clock().set_wall_ms(7);
    assert_eq!(clock.wall_ms(), 7);
    assert_eq!(clock.monotonic() - start, Duration::from_millis(1500));
    assert_eq!(disk.kill(0).env().clock.wall_ms(), 7);
}

#[test]
fn simulated_identities_repeat_with_the_seed_and_not_after_a_crash() {
    let ids = |disk: &SimDisk| {
        let Env { entropy, .. } = disk.env();
        [entropy.random_id(), entropy.random_id()]
    };
    let first = ids(&SimDisk::new(1));
    assert_eq!(first, ids(&SimDisk::new(1)));
    assert_ne!(first[0], first[1]);
    assert_ne!(first, ids(&SimDisk::new(2)));
    assert_ne!(first, ids(&SimDisk::new(1).crash(kv_env::CrashChoice::All)));
}

#[test]
fn a_background_thread_runs_in_the_idle_class() {
    let class = std::thread::spawn(|| kv_env::schedule_as_background().then(own_scheduling_class))
        .join()
        .unwrap();
    if cfg!(target_os = "linux") {
        assert_eq!(class, Some("5".to_owned()), "SCHED_IDLE has number 5");
    }
}

/// The scheduling class of the calling thread, as the kernel reports it.
#[allow(clippy::disallowed_methods, reason = "asks the kernel, not the database")]
fn own_scheduling_class() -> String {
    let report = std::fs::read_to_string("/proc/thread-self/sched").unwrap();
    let policy = report.lines().find(|line| line.starts_with("policy")).unwrap();
    policy.rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn pages_have_a_size_of_a_power_of_two() {
    assert!(kv_env::page_size().is_power_of_two());
}
