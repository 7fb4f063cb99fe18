//! Failing histories become small, and small ones still fail.

use kv_sim::{
    Budget, Script, Step, hunt, hunt_scripts, negative_control, negative_control_of_cuts, run,
    script_of, shrink,
};

/// The bug is in the disk: its syncs do nothing.
fn lying(seed: u64) -> Script {
    let mut script = script_of(seed);
    script.settings.lying_sync = true;
    script
}

#[test]
fn a_loss_shrinks_to_a_write_and_a_cut() {
    let failure = (0..50).find_map(|seed| run(&lying(seed)).err()).expect("a lying disk is caught");
    let before = failure.script.steps.len();
    let small = shrink(*failure);
    println!("{small}");
    assert!(small.script.steps.len() <= 2, "{before} steps became\n{}", small.script);
    let is_crash = |step: &Step| matches!(step, Step::Cut(_));
    assert!(small.script.steps.last().is_some_and(is_crash), "{}", small.script);
    // What was written down is what fails.
    let again: Script = small.script.to_string().parse().unwrap();
    assert!(run(&again).is_err());
    let honest = Script {
        settings: kv_sim::Settings { lying_sync: false, ..again.settings.clone() },
        ..again
    };
    assert!(run(&honest).is_ok());
}

#[test]
fn a_hunt_ends_with_the_first_failure() {
    assert!(hunt(0..5, &Budget::PLAIN).is_none());
    let failure = hunt_scripts((0..50).map(lying).collect(), &Budget::PLAIN);
    assert!(failure.is_some_and(|failure| failure.script.settings.lying_sync));
}

#[test]
fn the_negative_control_takes_few_seeds() {
    let (seeds, failure) = negative_control(0..50).expect("a lying disk is caught");
    println!("caught after {seeds} seeds: {}", failure.what);
}

#[test]
fn cuts_notice_what_the_history_itself_does_not() {
    let failure = negative_control_of_cuts().expect("a lying disk is caught");
    assert!(matches!(failure.script.steps.last(), Some(Step::Cut(_))), "{failure}");
}
