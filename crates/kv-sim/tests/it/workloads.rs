//! The scripted workloads, run and cut.

use kv_sim::{Effort, Figures, cut_all, run, workloads};

#[test]
fn every_workload_keeps_every_promise_without_crashes() {
    for script in workloads() {
        if let Err(failure) = run(&script) {
            panic!("{failure}");
        }
    }
}

#[test]
fn some_workloads_survive_every_cut() {
    let scripts: Vec<_> = workloads().into_iter().step_by(13).collect();
    let figures = cut_all(&scripts, &Effort::ORDINARY, 2, |_: &Figures| {});
    match figures {
        Err(failure) => panic!("{failure}"),
        Ok(figures) => println!("{figures:?}"),
    }
}
