//! Every call of a history fails in turn, with every error.

use kv_sim::{FailFigures, fail_all, workloads};

/// Workloads that are tried, and calls of each: a share that an ordinary run
/// has the time for. `cargo xtask sim --calls` has them all.
const WORKLOADS_SHARE: usize = 6;
const CALLS_SHARE: u64 = 7;

#[test]
fn whichever_call_fails_every_promise_is_kept() {
    let scripts: Vec<_> = workloads().into_iter().step_by(WORKLOADS_SHARE).collect();
    match fail_all(&scripts, CALLS_SHARE, 2, |_: &FailFigures| {}) {
        Err(failure) => panic!("{failure}"),
        Ok(figures) => println!("{figures:?}"),
    }
}
