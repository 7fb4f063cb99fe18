//! Everything that has to be green before a change lands, in one list.

use std::process::Command;
use std::time::Instant;

use crate::failure::{Context, Failure, Outcome};
use crate::workspace::{cargo_program, source_root};

/// A step: its name, the arguments for cargo or for one of our own tools, and an
/// environment variable.
struct Step {
    name: &'static str,
    program: Program,
    arguments: &'static [&'static str],
    variable: Option<(&'static str, &'static str)>,
}

#[derive(PartialEq, Eq)]
enum Program {
    Cargo,
    Xtask,
}

const fn cargo(name: &'static str, arguments: &'static [&'static str]) -> Step {
    Step { name, program: Program::Cargo, arguments, variable: None }
}

const fn xtask(name: &'static str, arguments: &'static [&'static str]) -> Step {
    Step { name, program: Program::Xtask, arguments, variable: None }
}

impl Step {
    /// What follows `cargo` on the command line.
    fn command_line(&self) -> Vec<&'static str> {
        let xtask = ["run", "--locked", "--quiet", "--package", "xtask", "--"];
        let program = if self.program == Program::Xtask { &xtask[..] } else { &[] };
        [program, self.arguments].concat()
    }
}

/// The README's test command comes first: it is what most people run.
///
/// What drives the server runs with the one that the tests have built already;
/// building it once more for release would take minutes.
const STEPS: [Step; 11] = [
    cargo("tests", &["test", "--workspace", "--locked"]),
    cargo("format", &["fmt", "--all", "--check"]),
    cargo(
        "clippy",
        &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
    ),
    Step {
        variable: Some(("RUSTDOCFLAGS", "-D warnings")),
        ..cargo("docs", &["doc", "--workspace", "--no-deps", "--locked"])
    },
    xtask("black box", &["blackbox", "--profile", "dev"]),
    xtask("demo", &["demo", "--profile", "dev"]),
    xtask("simulation", &["sim"]),
    xtask("crashes", &["crash", "all", "--profile", "dev"]),
    cargo("schedules", &SCHEDULES),
    xtask("museum", &["museum"]),
    xtask("fuzzing", &["fuzz", "--seconds", "10"]),
];

/// The engine's threads under a scheduler that tries orders of them.
const SCHEDULES: [&str; 8] =
    ["test", "--locked", "--package", "kv-engine", "--features", "shuttle", "--test", "shuttle"];

/// `cargo xtask ci`: runs every step, also after a failed one, and says at the
/// end which held.
pub(crate) fn run() -> Outcome {
    let mut summary = Vec::new();
    let mut failed = Vec::new();
    for step in &STEPS {
        println!("\n=== {}: cargo {} ===", step.name, step.command_line().join(" "));
        let (holds, seconds) = run_step(step)?;
        let word = if holds { "ok" } else { "FAILED" };
        summary.push(format!("{:<10} {word:<7} {seconds:>4} s", step.name));
        if !holds {
            failed.push(step.name);
        }
    }
    println!("\n=== summary ===\n{}", summary.join("\n"));
    match failed.as_slice() {
        [] => Ok(()),
        names => Err(Failure::check(format!("ci: failed: {}", names.join(", ")))),
    }
}

#[allow(clippy::disallowed_methods, reason = "a tool measures real time")]
fn run_step(step: &Step) -> Outcome<(bool, u64)> {
    let started = Instant::now();
    let status = Command::new(cargo_program())
        .args(step.command_line())
        .envs(step.variable)
        .current_dir(source_root())
        .status()
        .context("cannot start cargo")?;
    Ok((status.success(), started.elapsed().as_secs()))
}

#[cfg(test)]
mod tests {
    use super::STEPS;

    #[test]
    fn the_first_step_is_the_test_command_of_the_readme() {
        let command = format!("cargo {}", STEPS[0].arguments.join(" "));
        let readme = include_str!("../../README.md");
        assert!(readme.lines().any(|line| line.starts_with(&command)), "{command}");
    }
}
