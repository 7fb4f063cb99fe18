//! Histories drawn from seeds.

use kv_sim::{run, run_with_log, script_of};

#[test]
fn histories_of_some_seeds_keep_every_promise() {
    for seed in 0..200 {
        if let Err(failure) = run(&script_of(seed)) {
            panic!("seed {seed}: {failure}");
        }
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
