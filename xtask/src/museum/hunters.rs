//! The programs that look for the bugs, built of the mutated copy.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::copy::{HUNT, SCHEDULES, SWITCH_VARIABLE, TESTS};
use super::mutants::Hunt;
use crate::failure::{Context, Failure, Outcome};
use crate::workspace::{cargo_program, source_root};

/// What the simulation returns when it has found something, and what a test does.
const FOUND: [i32; 2] = [1, 101];

/// The programs of the copy that were asked for.
pub(super) struct Hunters {
    simulation: Option<PathBuf>,
    tests: Option<PathBuf>,
    schedules: Option<PathBuf>,
}

impl Hunters {
    /// Builds what `hunts` need, beside the programs of the original: what both
    /// depend on is built once.
    pub(super) fn build(workspace: &Path, hunts: impl Iterator<Item = Hunt>) -> Outcome<Hunters> {
        let hunts: Vec<Hunt> = hunts.collect();
        let build = |is_wanted: fn(&Hunt) -> bool, package, target, arguments: &[&str]| {
            if !hunts.iter().any(is_wanted) {
                return Ok(None);
            }
            program(&cargo(workspace, package, arguments)?, package, target).map(Some)
        };
        Ok(Hunters {
            simulation: build(
                |hunt| *hunt == Hunt::Simulation,
                "kv-sim",
                HUNT,
                &["build", "--example", HUNT],
            )?,
            tests: build(
                |hunt| matches!(hunt, Hunt::Test(_)),
                "kv-engine",
                TESTS,
                &["test", "--no-run", "--test", TESTS],
            )?,
            schedules: build(
                |hunt| matches!(hunt, Hunt::Schedules(_)),
                "kv-engine",
                SCHEDULES,
                &["test", "--no-run", "--features", SCHEDULES, "--test", SCHEDULES],
            )?,
        })
    }

    /// Looks for mutant `name`; what the hunt reports if it has found something.
    ///
    /// Hunts in a process of its own: a mutant may hang, abort or overflow.
    pub(super) fn hunt(&self, hunt: Hunt, name: &str, seeds: u64) -> Outcome<Option<String>> {
        let (program, arguments) = match hunt {
            Hunt::Simulation => (&self.simulation, vec!["--seeds".into(), seeds.to_string()]),
            Hunt::Test(test) => (&self.tests, test_arguments(test)),
            Hunt::Schedules(test) => (&self.schedules, test_arguments(test)),
        };
        let program = program.as_ref().expect("what the programme needs was built");
        let child = Command::new(program)
            .args(arguments)
            .env(SWITCH_VARIABLE, name)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start a hunt")?;
        outcome_of(child, hunt)
    }
}

fn test_arguments(test: &str) -> Vec<String> {
    vec![test.into(), "--test-threads".into(), "1".into()]
}

/// Runs Cargo in the copy and returns its messages.
fn cargo(workspace: &Path, package: &str, arguments: &[&str]) -> Outcome<String> {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| source_root().join("target"), PathBuf::from);
    let output = Command::new(cargo_program())
        .args(arguments)
        .args(["--package", package, "--quiet", "--offline", "--message-format", "json"])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(workspace)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        let command = arguments.join(" ");
        return Err(Failure::check(format!(
            "the mutants do not compile; see: (cd {} && cargo {command} --package {package})",
            workspace.display()
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The program that Cargo says it has built for a target of a package.
fn program(messages: &str, package: &str, target: &str) -> Outcome<PathBuf> {
    let is_wanted = |message: &serde_json::Value| {
        let manifest = message["manifest_path"].as_str().unwrap_or_default();
        message["target"]["name"] == target && manifest.ends_with(&format!("{package}/Cargo.toml"))
    };
    let lines = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    let mut wanted = lines.filter(is_wanted);
    wanted
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| Failure::check(format!("cargo has not built {target} of {package}")))
}

/// What the hunt reports, if it found something. A process that died of a signal
/// has found something too.
fn outcome_of(child: Child, hunt: Hunt) -> Outcome<Option<String>> {
    let output = child.wait_with_output().context("cannot wait for a hunt")?;
    let report = String::from_utf8_lossy(&output.stdout);
    let found = match hunt {
        Hunt::Simulation => report.clone().into_owned(),
        Hunt::Test(name) | Hunt::Schedules(name) => name.to_owned(),
    };
    let was_run = hunt == Hunt::Simulation || !report.contains("running 0 tests");
    match output.status.code() {
        Some(0) if was_run => Ok(None),
        Some(code) if FOUND.contains(&code) => Ok(Some(found)),
        Some(code) => Err(Failure::check(format!("a hunt ended with code {code}: {found}"))),
        None => Ok(Some(format!("the process ended by {}", output.status))),
    }
}
