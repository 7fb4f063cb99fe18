//! Histories drawn from seeds.

use kv_sim::{Budget, Tally, hunt, run_seeds, run_with_log, script_of};

#[test]
fn histories_of_some_seeds_keep_every_promise() {
    // A hunt, so that an engine that waits for ever is a failure like any other.
    if let Some(failure) = hunt(0..200, &Budget::PLAIN) {
        panic!("{failure}");
    }
}

/// A generator that draws trouble which never comes would look just as good.
#[test]
fn histories_meet_every_kind_of_trouble() {
    let mut tally = Tally::default();
    for outcome in run_seeds(200..500, None, 2) {
        match outcome.outcome {
            Ok(figures) => tally.add(&figures.tally),
            Err(failure) => panic!("{failure}"),
        }
    }
    println!("{tally:?}");
    assert!(tally.errors > 200 && tally.panics > 20, "{tally:?}");
    assert!(tally.damage_reports > 10 && tally.ended_by_damage > 3, "{tally:?}");
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
