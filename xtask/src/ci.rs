//! Everything that has to be green before a change lands, in one list.

use std::process::Command;
use std::time::Instant;

use crate::failure::{Context, Failure, Outcome};
use crate::workspace::{cargo_program, source_root};

/// A step: its name, the arguments for cargo, and an environment variable.
struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
    variable: Option<(&'static str, &'static str)>,
}

/// The README's test command comes first: it is what most people run.
///
/// The black-box test and the demo run with the server that the tests have
/// built already; building it once more for release would take minutes.
const STEPS: [Step; 6] = [
    Step { name: "tests", arguments: &["test", "--workspace", "--locked"], variable: None },
    Step { name: "format", arguments: &["fmt", "--all", "--check"], variable: None },
    Step {
        name: "clippy",
        arguments: &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
        variable: None,
    },
    Step {
        name: "docs",
        arguments: &["doc", "--workspace", "--no-deps", "--locked"],
        variable: Some(("RUSTDOCFLAGS", "-D warnings")),
    },
    Step {
        name: "black box",
        arguments: &["run", "--locked", "--package", "xtask", "--", "blackbox", "--profile", "dev"],
        variable: None,
    },
    Step {
        name: "demo",
        arguments: &["run", "--locked", "--package", "xtask", "--", "demo", "--profile", "dev"],
        variable: None,
    },
];

/// `cargo xtask ci`: runs every step, also after a failed one, and says at the
/// end which held.
pub(crate) fn run() -> Outcome {
    let mut summary = Vec::new();
    let mut failed = Vec::new();
    for step in &STEPS {
        println!("\n=== {}: cargo {} ===", step.name, step.arguments.join(" "));
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
        .args(step.arguments)
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
