//! `cargo xtask sanitize`: miri and ThreadSanitizer, on a nightly compiler.
//!
//! * `miri` interprets the memory table, whose arena holds the `unsafe` that
//!   counts, with several schedules of its racing readers, and the decoders of
//!   every file format. What it reports is undefined behaviour.
//! * `thread` runs the real engine and the memory table with their threads at
//!   full speed, with the standard library built along, and reports data races.
//!
//! Where the compiler or a part of it is missing the tool says so and succeeds:
//! the project is built with the stable one.
//!
//! The `unsafe` outside the memory table is not interpreted: each place is one
//! call of the system, which miri does not have; `miri.rs` names them.

mod miri;
mod nightly;
mod thread;

use std::process::Command;
use std::time::Instant;

use clap::{Args, ValueEnum};

use crate::failure::{Context, Failure, Outcome};
use nightly::Nightly;

/// What looks at the code while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sanitizer {
    /// Undefined behaviour: the interpreter
    Miri,
    /// Data races: ThreadSanitizer
    Thread,
}

/// Options of the sanitizers.
#[derive(Debug, Args)]
pub(crate) struct SanitizeOptions {
    /// Only this one; both if none is named
    sanitizer: Option<Sanitizer>,
    /// Schedules that miri tries for the racing readers of the memory table
    #[arg(long, default_value_t = 2, value_name = "COUNT")]
    schedules: u32,
}

/// Tests of one package, in a process of their own.
struct Run {
    package: &'static str,
    /// The beginnings of the tests' names.
    tests: &'static [&'static str],
    /// Tests among them that take too long here.
    skipped: &'static [&'static str],
}

impl Run {
    /// What follows `cargo`, or `cargo miri`; `more` is for Cargo itself.
    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let program = ["test", "--locked", "--quiet", "--package", self.package, "--test", "it"];
        let mut all = [&program, more, &["--"], self.tests].concat();
        all.extend(self.skipped.iter().flat_map(|test| ["--skip", test]));
        all.into_iter().map(str::to_owned).collect()
    }
}

/// Runs `cargo xtask sanitize`.
pub(crate) fn run(options: &SanitizeOptions) -> Outcome {
    let nightly = match Nightly::find()? {
        Ok(nightly) => nightly,
        Err(missing) => {
            println!("NOTICE: sanitizers skipped: {missing}");
            return Ok(());
        }
    };
    let is_wanted = |sanitizer| options.sanitizer.is_none_or(|wanted| wanted == sanitizer);
    let mut failed = Vec::new();
    if is_wanted(Sanitizer::Miri) {
        failed.extend(miri::run(&nightly, options.schedules)?);
    }
    if is_wanted(Sanitizer::Thread) {
        failed.extend(thread::run(&nightly)?);
    }
    match failed.as_slice() {
        [] => Ok(()),
        names => Err(Failure::check(format!("sanitize: failed: {}", names.join(", ")))),
    }
}

/// Runs a command and says what it was, how it went and how long it took; true if
/// it went well.
#[allow(clippy::disallowed_methods, reason = "a tool measures real time")]
fn is_clean(name: &str, command: &mut Command) -> Outcome<bool> {
    let started = Instant::now();
    let succeeded = command.status().context("cannot start cargo")?.success();
    let word = if succeeded { "clean" } else { "FAILED" };
    println!("{word:<6} {name:<50} {:>5.0} s", started.elapsed().as_secs_f64());
    Ok(succeeded)
}
