//! `cargo xtask coverage`: what the tests reach of the code on which it
//! depends that nothing is lost and nothing from outside does harm.
//!
//! 1. Build the tests of some crates, with counters in the crates of the
//!    workspace; dependencies are those of any other build.
//! 2. Run the tests that matter here.
//! 3. Show, for each file that counts, the share of lines and regions (with
//!    `--branches` also of branches), every line that no test reached, and
//!    every condition that always came out the same.
//!
//! Programs that tests start, the server above all, count as far as they end by
//! themselves: one that is killed writes no counters. A test that clears their
//! environment hands `LLVM_PROFILE_FILE` on.
//!
//! It shows and does not judge: what may stay unreached, and why, is written in
//! `docs/COVERAGE.md`.

mod build;
mod lines;
mod tools;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use serde::Deserialize;

use self::lines::FileLines;
use self::tools::Tools;
use crate::failure::{Failure, Outcome};
use crate::workspace::source_root;

/// Options of the coverage.
#[derive(Debug, Clone, Args)]
pub(crate) struct CoverageOptions {
    /// Count branches as well: asks a stable compiler for an unstable option
    #[arg(long)]
    branches: bool,
}

/// Crates whose tests are run, and the arguments of those tests.
///
/// Enumerations of crashes, of flipped bits and of repairs are left out: they
/// take minutes with counters, and reach what single cases reach.
const TESTS: [(&str, &[&str]); 6] = [
    ("kv-core", &[]),
    ("kv-wal", &[]),
    ("kv-sstable", &[]),
    ("kv-compaction", &["edit"]),
    (
        "kv-engine",
        &[
            "--skip",
            "repair::",
            "--skip",
            "flips::",
            "--skip",
            "deep_crashes::",
            "--skip",
            "every_flipped_bit",
        ],
    ),
    (
        "kv-server",
        &[
            "codec",
            "wire",
            "command::",
            "protection::",
            "process::",
            "resp::",
            "secrets::",
            "--skip",
            "acknowledged_writes_survive_sigkill",
        ],
    ),
];

/// What is looked at: files, by how their names begin and end. That of the
/// server's program is one of them because nothing but a process that a test has
/// started can reach it: where it shows nothing, no such process has counted.
const COUNTED: [(&str, &str); 14] = [
    ("crates/kv-core/src/batch", ".rs"),
    ("crates/kv-core/src/header", ".rs"),
    ("crates/kv-core/src/metadata", ".rs"),
    ("crates/kv-compaction/src/edit", ".rs"),
    ("crates/kv-engine/src/manifest", ".rs"),
    ("crates/kv-engine/src/recovery", ".rs"),
    ("crates/kv-engine/src/replay", ".rs"),
    ("crates/kv-engine/src/segment", ".rs"),
    ("crates/kv-engine/src/scrub", ".rs"),
    ("crates/kv-server/src/main", ".rs"),
    ("crates/kv-server/src/resp/", ".rs"),
    ("crates/kv-sstable/src/salvage", ".rs"),
    ("crates/kv-sstable/src/scrub", ".rs"),
    ("crates/kv-wal/src/", ".rs"),
];

/// `cargo xtask coverage`.
pub(crate) fn run(options: &CoverageOptions) -> Outcome {
    let Some(tools) = Tools::find()? else {
        println!(
            "NOTICE: coverage skipped: llvm-cov and llvm-profdata of the compiler's version are \
             missing; `rustup component add llvm-tools` installs them"
        );
        return Ok(());
    };
    let directory = build::target_directory().join("coverage");
    let profiles = directory.join("profiles");
    tools::make_empty(&profiles)?;
    let built = build::build(TESTS.map(|(package, _)| package), options.branches, &directory)?;
    for program in &built.tests {
        let chosen = TESTS.iter().find(|(package, _)| *package == program.package);
        program.run(chosen.map_or(&[], |(_, arguments)| *arguments), &profiles)?;
    }
    let tests = built.tests.into_iter().map(|program| program.path);
    let programs: Vec<PathBuf> = tests.chain(built.started).collect();
    let profile = tools.merge(&profiles)?;
    let regions = regions(&tools, &profile, &programs)?;
    let files = lines::parse(&tools.export(&profile, &programs, "lcov", &[])?);
    require_all_counted(files.iter().filter_map(|file| name_of(&file.path)))?;
    println!("{}", table(&files, &regions, options.branches));
    print_unreached(&files);
    Ok(())
}

#[derive(Deserialize)]
struct Export {
    data: Vec<ExportData>,
}

#[derive(Deserialize)]
struct ExportData {
    files: Vec<FileSummary>,
}

#[derive(Deserialize)]
struct FileSummary {
    filename: String,
    summary: Shares,
}

#[derive(Deserialize)]
struct Shares {
    regions: Share,
}

/// How many there are, and how many were reached.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
struct Share {
    count: u64,
    covered: u64,
}

/// The regions of each file, by its path: the text format of lcov knows none. Of
/// a function that is compiled for several types it is the one that was reached
/// best.
fn regions(tools: &Tools, profile: &Path, programs: &[PathBuf]) -> Outcome<HashMap<String, Share>> {
    let json = tools.export(profile, programs, "text", &["-summary-only"])?;
    let export: Export = serde_json::from_str(&json).map_err(|error| {
        Failure::check(format!("llvm-cov's summary is not as expected: {error}"))
    })?;
    let files = export.data.into_iter().flat_map(|data| data.files);
    Ok(files.map(|file| (file.filename, file.summary.regions)).collect())
}

/// The name of a file from the root of the repository, if it is in there.
fn name_of(path: &str) -> Option<&str> {
    Some(path.strip_prefix(source_root().to_str()?)?.trim_start_matches('/'))
}

/// The same, if it counts.
fn counted_name(path: &str) -> Option<&str> {
    name_of(path).filter(|name| COUNTED.iter().any(|counted| is_one_of(name, counted)))
}

fn is_one_of(name: &str, (start, end): &(&str, &str)) -> bool {
    name.starts_with(start) && name.ends_with(end)
}

/// Fails for files that are to be looked at and are not among `names`: a file that
/// was moved must not leave the table unseen.
fn require_all_counted<'n>(names: impl Iterator<Item = &'n str>) -> Outcome {
    let names: Vec<&str> = names.collect();
    let has_none = |counted: &&(&str, &str)| !names.iter().any(|name| is_one_of(name, counted));
    match COUNTED.iter().find(has_none) {
        None => Ok(()),
        Some((start, end)) => {
            Err(Failure::check(format!("coverage: no file is called {start}*{end} any more")))
        }
    }
}

fn table(files: &[FileLines], regions: &HashMap<String, Share>, branches: bool) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    let mut header = vec!["file", "lines", "unreached", "regions", "unreached"];
    if branches {
        header.extend(["branches", "unreached"]);
    }
    let columns = header.len();
    table.set_header(header);
    for file in files {
        let Some(name) = counted_name(&file.path) else { continue };
        let mut shares = vec![file.lines, regions.get(&file.path).copied().unwrap_or_default()];
        shares.extend(branches.then_some(file.branches));
        let cells = shares
            .iter()
            .flat_map(|share| [percentage(share), (share.count - share.covered).to_string()]);
        table.add_row([name.to_owned()].into_iter().chain(cells));
    }
    for column in table.column_iter_mut().take(columns).skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn percentage(share: &Share) -> String {
    match share.count {
        0 => "-".to_owned(),
        count => format!("{:.1} %", 100.0 * share.covered as f64 / count as f64),
    }
}

fn print_unreached(files: &[FileLines]) {
    for file in files {
        let Some(name) = counted_name(&file.path) else { continue };
        let text = std::fs::read_to_string(&file.path).unwrap_or_default();
        let text: Vec<&str> = text.lines().collect();
        for number in &file.unreached {
            let line = text.get(*number - 1).map_or("", |line| line.trim());
            println!("{name}:{number}: {line}");
        }
        for number in &file.one_sided {
            let line = text.get(*number - 1).map_or("", |line| line.trim());
            println!("{name}:{number}: one way only: {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::require_all_counted;
    use crate::workspace::Workspace;

    #[test]
    fn a_file_that_counts_is_missed_where_it_is_gone() {
        let files = Workspace::load().unwrap().files(".rs").unwrap();
        let names = || files.iter().map(|file| file.path.as_str());
        require_all_counted(names()).unwrap();
        let failure = require_all_counted(names().filter(|name| !name.contains("/replay")));
        assert!(failure.unwrap_err().message.contains("kv-engine/src/replay"));
    }
}
