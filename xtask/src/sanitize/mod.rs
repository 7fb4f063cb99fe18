//! `cargo xtask sanitize`: miri and ThreadSanitizer, on a nightly compiler.
//!
//! * `miri` interprets the memory table, whose arena holds the `unsafe` that
//!   counts, with several schedules of its racing readers, and the decoders of
//!   every file format. What it reports is undefined behaviour.
//! * `thread` runs the real engine and the memory table with their threads at
//!   full speed, with the standard library built along, and reports data races.
//!
//! `miri --decoders` is the short list for every day; without it the list is long.
//!
//! Where the compiler or a part of it is missing the tool says so and succeeds:
//! the project is built with the stable one.
//!
//! The `unsafe` outside the memory table is not interpreted: each place is one
//! call of the system, which miri does not have; `miri.rs` names them.

mod miri;
mod nightly;
mod thread;

use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Instant;

use clap::{Args, ValueEnum};

use crate::child_lines::forward_lines;
use crate::failure::{Context, Failure, Outcome};
use crate::test_report::has_run_tests;
use miri::Programme;
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
    /// Of what miri interprets only a short list: a sound file of each format,
    /// requests, and the memory table with one thread
    #[arg(long)]
    decoders: bool,
}

/// Tests of one package, in a process of their own.
#[derive(Debug, Clone, Copy)]
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
        let programme = match options.decoders {
            true => Programme::Decoders,
            false => Programme::Whole { schedules: options.schedules },
        };
        failed.extend(miri::run(&nightly, programme)?);
    }
    if is_wanted(Sanitizer::Thread) {
        failed.extend(thread::run(&nightly)?);
    }
    match failed.as_slice() {
        [] => Ok(()),
        names => Err(Failure::check(format!("sanitize: failed: {}", names.join(", ")))),
    }
}

/// Runs tests and says which, how it went and how long it took; true if it went
/// well and there were some.
#[allow(clippy::disallowed_methods, reason = "a tool measures real time")]
fn is_clean(name: &str, command: &mut Command) -> Outcome<bool> {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let (sender, lines) = channel();
    if let Some(output) = child.stdout.take() {
        forward_lines(output, sender);
    }
    let mut report = String::new();
    for line in lines {
        println!("{line}");
        report += &format!("{line}\n");
    }
    let succeeded = child.wait().context(name)?.success();
    let word = match (succeeded, has_run_tests(&report)) {
        (true, true) => "clean",
        (true, false) => "EMPTY",
        (false, _) => "FAILED",
    };
    println!("{word:<6} {name:<50} {:>5.0} s", started.elapsed().as_secs_f64());
    Ok(word == "clean")
}

/// Fails for a name at which no test begins: a filter that finds nothing is clean.
#[cfg(test)]
fn assert_tests_exist<'r>(runs: impl Iterator<Item = &'r Run>) {
    let files = crate::workspace::Workspace::load().unwrap().files(".rs").unwrap();
    for run in runs {
        let directory = format!("crates/{}/tests/it/", run.package);
        for name in run.tests.iter().chain(run.skipped) {
            let (module, test) = name.rsplit_once("::").unwrap_or(("", name));
            let text = match (module, test) {
                // All tests of the module.
                (_, "") => "#[test]".to_owned(),
                // What stands without its module may be any part of a name.
                ("", test) => test.to_owned(),
                (_, test) => format!("fn {test}"),
            };
            let mut of_module = files.iter().filter(|file| {
                file.path.strip_prefix(&directory).is_some_and(|path| path.starts_with(module))
            });
            let exists = of_module.any(|file| file.text.contains(&text));
            assert!(exists, "{}: no test begins with {name}", run.package);
        }
    }
}
