//! Miri: the memory table, and the decoders of every format.

use super::nightly::Nightly;
use super::{Run, is_clean};
use crate::failure::Outcome;

/// Files with `unsafe` that the runs below go through.
#[cfg(test)]
const INTERPRETED: [&str; 1] = ["crates/kv-memtable/src/arena.rs"];

/// Files that are not: their `unsafe` is one call of the system, which miri does
/// not have, or of the allocator, in a tool or a test.
#[cfg(test)]
const NOT_INTERPRETED: [&str; 5] = [
    "crates/kv-core/tests/it/allocation.rs",
    "crates/kv-env/src/real/map.rs",
    "crates/kv-env/src/scheduling.rs",
    "fuzz/src/allocation.rs",
    "xtask/src/crash/power_cut.rs",
];

/// Cases of a property that does not say itself how many it wants here.
const CASES: &str = "4";

/// What every run has in common: tree borrows, and the real clock and entropy,
/// which proptest wants.
const FLAGS: &str = "-Zmiri-tree-borrows -Zmiri-disable-isolation";

/// The decoders, and the memory table with one thread. Left out is what sends
/// many kilobytes through a checksum or a decompressor: a minute here is a
/// millisecond elsewhere, and the code is the same.
const RUNS: [Run; 6] = [
    Run {
        package: "kv-core",
        tests: &["batch::", "codec::", "files::"],
        skipped: &[
            "survives_its_encoding",
            "a_cut_batch",
            "keys_over_the_limit",
            "records_of_every_size",
            "a_large_record",
        ],
    },
    Run {
        package: "kv-wal",
        tests: &["golden::", "a_file_of_random_bytes", "an_empty_log"],
        skipped: &[],
    },
    Run {
        package: "kv-sstable",
        tests: &[
            "golden::",
            "hostile::every_rule",
            "hostile::a_table_without",
            "hostile::no_bytes",
            "hostile::what",
        ],
        skipped: &[],
    },
    Run {
        package: "kv-compaction",
        tests: &["edit::golden", "edit::features", "edit::hostile"],
        skipped: &[],
    },
    Run {
        package: "kv-server",
        tests: &["codec::requests_as", "codec::inline", "codec::violations", "codec::escapes"],
        skipped: &[],
    },
    Run { package: "kv-memtable", tests: &["memory::", "model::"], skipped: &["overwriting"] },
];

/// One sound file of each format and the numbers that all of them are made of,
/// requests, and values that are read where they lie: what a change of a decoder
/// or of the arena is most likely to break.
const DECODERS: [Run; 6] = [
    Run { package: "kv-core", tests: &["batch::golden", "codec::fields"], skipped: &[] },
    Run { package: "kv-wal", tests: &["golden::"], skipped: &[] },
    Run { package: "kv-sstable", tests: &["golden::a_plain"], skipped: &[] },
    Run { package: "kv-compaction", tests: &["edit::golden"], skipped: &[] },
    Run { package: "kv-server", tests: &["codec::requests_as", "codec::inline"], skipped: &[] },
    Run { package: "kv-memtable", tests: &["memory::values_outlive"], skipped: &[] },
];

/// The memory table with racing readers, under several schedules.
const RACES: Run =
    Run { package: "kv-memtable", tests: &["with_every_family", "with_rising"], skipped: &[] };

/// What of all that is interpreted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Programme {
    /// [`DECODERS`].
    Decoders,
    /// Everything, the races under so many schedules.
    Whole { schedules: u32 },
}

/// Interprets the tests; the names of those that failed.
pub(super) fn run(nightly: &Nightly, programme: Programme) -> Outcome<Vec<String>> {
    let mut failed = Vec::new();
    for (run, flags) in runs(programme) {
        let mut command = nightly.cargo("miri");
        command
            .arg("miri")
            .args(run.arguments(&[]))
            .env("MIRIFLAGS", &flags)
            .env("PROPTEST_CASES", CASES);
        let name = format!("miri {} {}", run.package, run.tests.join(" "));
        if !is_clean(&name, &mut command)? {
            failed.push(name);
        }
    }
    Ok(failed)
}

/// The runs of a programme with the flags of each.
fn runs(programme: Programme) -> Vec<(Run, String)> {
    let plain = |runs: &[Run]| runs.iter().map(|run| (*run, FLAGS.to_owned())).collect();
    match programme {
        Programme::Decoders => plain(&DECODERS),
        Programme::Whole { schedules } => {
            let mut all: Vec<(Run, String)> = plain(&RUNS);
            all.push((RACES, format!("{FLAGS} -Zmiri-many-seeds=0..{schedules}")));
            all
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::assert_tests_exist;
    use super::*;
    use crate::workspace::Workspace;

    #[test]
    fn every_test_that_is_named_exists() {
        assert_tests_exist(RUNS.iter().chain(&DECODERS).chain([&RACES]));
    }

    /// A new file with `unsafe` is interpreted, or there is a reason why not.
    #[test]
    fn every_file_with_unsafe_is_accounted_for() {
        let workspace = Workspace::load().unwrap();
        let files = workspace.files(".rs").unwrap();
        let is_marked = |text: &str| {
            let first = text.lines().next().unwrap_or_default();
            first.starts_with("// ") && first.contains("unsafe")
        };
        let mut marked: Vec<&str> = files
            .iter()
            .filter(|file| is_marked(&file.text))
            .map(|file| file.path.as_str())
            .collect();
        marked.sort_unstable();
        let mut known = [&INTERPRETED[..], &NOT_INTERPRETED[..]].concat();
        known.sort_unstable();
        assert_eq!(marked, known);
    }
}
