//! ThreadSanitizer: the engine and the memory table with their threads.
//!
//! The standard library is built along, or every lock of it would look like a
//! race. The engine has fences, which ThreadSanitizer does not know (`commit.rs`,
//! `sync.rs`, `shared.rs`): all of them order a store before a load, so that one
//! of two threads sees the other; no data is handed over through them, so no
//! false alarm comes of them, and nothing is suppressed.

use super::nightly::Nightly;
use super::{Run, is_clean};
use crate::failure::Outcome;

/// Machines that ThreadSanitizer knows.
const HOSTS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// Dependencies less optimised than for the other tests: they are built once more.
const QUICK: &str = "profile.dev.package.\"*\".opt-level=1";

/// The memory table at full speed takes minutes in some of its tests; those left
/// out differ in the keys only.
const RUNS: [Run; 2] = [
    Run {
        package: "kv-memtable",
        tests: &["concurrent::"],
        skipped: &["readers_race_with_keys_alike", "readers_race_with_random_inserts"],
    },
    Run { package: "kv-engine", tests: &["concurrency::", "conditional::"], skipped: &[] },
];

/// Runs the tests under ThreadSanitizer; the names of those that failed.
pub(super) fn run(nightly: &Nightly) -> Outcome<Vec<String>> {
    if !HOSTS.contains(&nightly.host.as_str()) {
        println!("NOTICE: ThreadSanitizer skipped: it does not know {}", nightly.host);
        return Ok(Vec::new());
    }
    let mut failed = Vec::new();
    for run in &RUNS {
        let mut command = nightly.cargo("thread");
        command
            .args(run.arguments(&["-Zbuild-std", "--target", &nightly.host, "--config", QUICK]))
            .env("RUSTFLAGS", "-Zsanitizer=thread")
            .env("TSAN_OPTIONS", "halt_on_error=1");
        let name = format!("thread {} {}", run.package, run.tests.join(" "));
        if !is_clean(&name, &mut command)? {
            failed.push(name);
        }
    }
    Ok(failed)
}

#[cfg(test)]
mod tests {
    use super::super::assert_tests_exist;
    use super::*;

    #[test]
    fn every_test_that_is_named_exists() {
        assert_tests_exist(RUNS.iter());
    }
}
