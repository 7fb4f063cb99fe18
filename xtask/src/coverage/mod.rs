//! `cargo xtask coverage`: what the tests reach of the code on which it
//! depends that nothing is lost and nothing from outside does harm.
//!
//! 1. Build the tests of three crates with counters, in a target folder of
//!    their own.
//! 2. Run them.
//! 3. Show, for each file that counts, the share of lines and regions (with
//!    `--branches` also of branches) and every line that no test reached.
//!
//! It shows and does not judge: which lines may stay unreached, and why, is
//! written in `docs/TESTING.md`.

mod lines;
mod tools;

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use serde::Deserialize;

use self::lines::FileLines;
use self::tools::Tools;
use crate::failure::{Context, Failure, Outcome};
use crate::workspace::{cargo_program, source_root};

/// Options of the coverage.
#[derive(Debug, Clone, Args)]
pub(crate) struct CoverageOptions {
    /// Count branches as well: asks a stable compiler for an unstable option
    #[arg(long)]
    branches: bool,
}

/// Tests that are run: the crate, and which of its integration tests.
const TESTS: [(&str, &[&str]); 5] = [
    ("kv-core", &["--test", "it"]),
    ("kv-wal", &["--lib", "--test", "it"]),
    ("kv-compaction", &["--test", "it"]),
    ("kv-engine", &["--lib", "--test", "it"]),
    ("kv-server", &["--test", "it", "--", "codec"]),
];

/// What is looked at: files, by how their names begin and end.
const COUNTED: [(&str, &str); 10] = [
    ("crates/kv-core/src/batch", ".rs"),
    ("crates/kv-core/src/header", ".rs"),
    ("crates/kv-core/src/metadata", ".rs"),
    ("crates/kv-compaction/src/edit", ".rs"),
    ("crates/kv-engine/src/manifest", ".rs"),
    ("crates/kv-engine/src/recovery", ".rs"),
    ("crates/kv-engine/src/replay", ".rs"),
    ("crates/kv-engine/src/segments", ".rs"),
    ("crates/kv-server/src/resp/", ".rs"),
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
    let directory = source_root().join("target/coverage");
    let profiles = directory.join("profiles");
    tools::make_empty(&profiles)?;
    let mut programs = Vec::new();
    for (package, tests) in TESTS {
        programs.extend(test(package, tests, options.branches, &directory)?);
    }
    let profile = tools.merge(&profiles)?;
    let summary = summary(&tools, &profile, &programs)?;
    let files = lines::parse(&tools.export(&profile, &programs, "lcov", &[])?);
    println!("{}", table(&summary, options.branches));
    print_unreached(&files);
    Ok(())
}

/// The part of Cargo's JSON messages that names a built test.
#[derive(Deserialize)]
struct BuildMessage {
    executable: Option<PathBuf>,
}

/// Runs tests of `package` with counters; the programs they are in.
fn test(package: &str, tests: &[&str], branches: bool, directory: &Path) -> Outcome<Vec<PathBuf>> {
    let (targets, filter) = match tests.iter().position(|word| *word == "--") {
        Some(at) => tests.split_at(at),
        None => (tests, &[][..]),
    };
    let cargo = |profile: &Path| {
        let mut flags = "-Cinstrument-coverage".to_owned();
        let mut command = Command::new(cargo_program());
        if branches {
            flags.push_str(" -Zcoverage-options=branch");
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command
            .args(["test", "--locked", "--package", package])
            .args(targets)
            .arg("--target-dir")
            .arg(directory)
            .current_dir(source_root())
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", flags)
            .env("LLVM_PROFILE_FILE", profile);
        command
    };
    // Macros and build scripts count as well; nobody asks for theirs.
    let ignored = directory.join("ignored-%m.profraw");
    let built = cargo(&ignored)
        .args(["--no-run", "--message-format", "json-render-diagnostics"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot start cargo test")?;
    if !built.status.success() {
        return Err(Failure::check(format!("the tests of {package} do not build")));
    }
    let counted = directory.join("profiles/%p-%m.profraw");
    let status = cargo(&counted).args(filter).status().context("cannot start cargo test")?;
    if !status.success() {
        return Err(Failure::check(format!("the tests of {package} fail")));
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let messages = messages.lines();
    Ok(messages
        .filter_map(|line| serde_json::from_str::<BuildMessage>(line).ok()?.executable)
        .collect())
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
    lines: Share,
    regions: Share,
    branches: Share,
}

/// How many there are, and how many were reached.
#[derive(Deserialize)]
struct Share {
    count: u64,
    covered: u64,
}

fn summary(tools: &Tools, profile: &Path, programs: &[PathBuf]) -> Outcome<Vec<FileSummary>> {
    let json = tools.export(profile, programs, "text", &["-summary-only"])?;
    let export: Export = serde_json::from_str(&json).map_err(|error| {
        Failure::check(format!("llvm-cov's summary is not as expected: {error}"))
    })?;
    let files = export.data.into_iter().flat_map(|data| data.files);
    Ok(files.filter(|file| counted_name(&file.filename).is_some()).collect())
}

/// The name of a file from the root of the repository, if it counts.
fn counted_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix(source_root().to_str()?)?.trim_start_matches('/');
    let counts = |(start, end): &(&str, &str)| name.starts_with(start) && name.ends_with(end);
    COUNTED.iter().any(counts).then_some(name)
}

fn table(files: &[FileSummary], branches: bool) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    let mut header = vec!["file", "lines", "unreached", "regions", "unreached"];
    if branches {
        header.extend(["branches", "unreached"]);
    }
    let columns = header.len();
    table.set_header(header);
    for file in files {
        let Shares { lines, regions, branches: of_branches } = &file.summary;
        let mut shares = vec![lines, regions];
        shares.extend(branches.then_some(of_branches));
        let name = counted_name(&file.filename).unwrap_or(&file.filename).to_owned();
        let cells = shares
            .into_iter()
            .flat_map(|share| [percentage(share), (share.count - share.covered).to_string()]);
        table.add_row([name].into_iter().chain(cells));
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
    }
}
