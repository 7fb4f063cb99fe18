//! Histories that have failed once: every file of `regressions/` is run, and
//! cut at every op.

use std::fs;
use std::path::Path;

use kv_sim::{Budget, Effort, Script, hunt_scripts};

#[test]
#[allow(clippy::disallowed_methods, reason = "the scripts are files of the source tree")]
fn what_failed_once_does_not_fail_again() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut scripts = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let script: Script =
            text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(!script.about.is_empty(), "{} says why it is here", path.display());
        let budget = Budget { cuts: Some(Effort::ORDINARY), ..Budget::PLAIN };
        if let Some(failure) = hunt_scripts(vec![script], &budget) {
            panic!("{}: {failure}", path.display());
        }
        scripts += 1;
    }
    assert!(scripts >= 2, "{scripts}");
}
