//! Every call of a history fails in turn, with every error.

use kv_sim::{
    Effort, FailFigures, Figures, count_runs, cut_all, fail_all, run, with_a_failing_call,
    workloads,
};

/// Workloads that are tried, and calls of each: a share that an ordinary run
/// has the time for. `cargo xtask sim --calls` has them all.
const WORKLOADS_SHARE: usize = 6;
const CALLS_SHARE: u64 = 7;

#[test]
fn whichever_call_fails_every_promise_is_kept() {
    let scripts: Vec<_> = workloads().into_iter().step_by(WORKLOADS_SHARE).collect();
    let figures = fail_all(&scripts, CALLS_SHARE, 2, |_: &FailFigures| {});
    let figures = figures.unwrap_or_else(|failure| panic!("{failure}"));
    println!("{figures:?}");
    assert_eq!(count_runs(&scripts, CALLS_SHARE).unwrap(), figures.runs);
    assert!(figures.told * 2 > figures.runs, "the engine can do without most calls: {figures:?}");
}

#[test]
fn a_history_with_a_failing_call_survives_every_cut() {
    let some = workloads().into_iter().step_by(WORKLOADS_SHARE * 4);
    let scripts: Vec<_> = some.map(|script| with_a_failing_call(&script, 7).unwrap()).collect();
    for script in &scripts {
        let call = script.settings.failing_call.unwrap();
        assert!(run(script).unwrap().calls > call.number, "{}", script.about);
    }
    match cut_all(&scripts, &Effort::ORDINARY, 2, |_: &Figures| {}) {
        Err(failure) => panic!("{failure}"),
        Ok(figures) => assert!(figures.tally.errors > 0, "{figures:?}"),
    }
}

/// A script that has errors of its own is not told of each call that fails.
#[test]
fn what_a_script_has_of_errors_by_itself_is_not_told() {
    let script = workloads().into_iter().find(|script| script.about == "a failed sync, round 0");
    let script = script.unwrap();
    assert!(run(&script).unwrap().tally.errors > 0);
    let figures = fail_all(&[script], CALLS_SHARE, 2, |_: &FailFigures| {}).unwrap();
    assert!(0 < figures.told && figures.told < figures.runs, "{figures:?}");
}
