//! Histories drawn from seeds.

use kv_sim::{Budget, hunt, run_with_log, script_of};

#[test]
fn histories_of_some_seeds_keep_every_promise() {
    // A hunt, so that an engine that waits for ever is a failure like any other.
    if let Some(failure) = hunt(0..200, &Budget::PLAIN) {
        panic!("{failure}");
    }
}

#[test]
fn the_same_seed_gives_the_same_ops() {
    for seed in 0..20 {
        let script = script_of(seed);
        let first = run_with_log(&script).unwrap();
        assert_eq!(first.log, run_with_log(&script).unwrap().log, "seed {seed}");
        assert_ne!(first.log, run_with_log(&script_of(seed + 1000)).unwrap().log);
    }
}
