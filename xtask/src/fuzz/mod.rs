//! `cargo xtask fuzz`: every fuzz target for some seconds, on a stable
//! compiler.
//!
//! 1. Build the workspace in `fuzz/` with the counters that libFuzzer reads.
//! 2. Run the targets, `--jobs` at a time, each on its committed corpus and on
//!    what earlier runs found on this machine; a line for each that is done.
//! 3. Show a table; fail if a target crashed, and say how to repeat that.
//!
//! The exit code is 0 if nothing was found, 1 if a target crashed or did not
//! build, and 2 for wrong arguments.
//!
//! The layout is that of cargo-fuzz, which works as well and adds sanitizers
//! where a nightly compiler is at hand.

mod build;
mod session;
mod targets;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Args;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};

use self::session::{Findings, Places};
use self::targets::{TARGETS, Target};
use crate::failure::{Failure, Outcome};

/// Options of the fuzzing.
#[derive(Debug, Clone, Args)]
pub(crate) struct FuzzOptions {
    /// Time of each target, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Targets that run at a time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
    /// Only this target
    #[arg(long)]
    target: Option<String>,
    /// Then rewrite the committed corpora with the smallest inputs that reach
    /// all that was reached
    #[arg(long)]
    save: bool,
}

/// `cargo xtask fuzz`.
#[allow(clippy::disallowed_methods, reason = "a tool measures real time")]
pub(crate) fn run(options: &FuzzOptions) -> Outcome {
    let chosen = chosen(options.target.as_deref())?;
    if !build::has_cpp_compiler() {
        println!("NOTICE: fuzzing skipped: libFuzzer needs a C++ compiler (c++, g++ or clang++)");
        return Ok(());
    }
    let started = Instant::now();
    let programs = build::build()?;
    println!("built in {} s", started.elapsed().as_secs());
    let findings = run_all(&chosen, &programs, options)?;
    println!("{}", table(&chosen, &findings));
    let crashed = report_crashes(&chosen, &findings, &programs)?;
    if !crashed.is_empty() {
        return Err(Failure::check(format!("fuzz: crashed: {}", crashed.join(", "))));
    }
    if options.save {
        for target in &chosen {
            if !session::merge(target, &Places::of(target, &programs)?)? {
                return Err(Failure::check(format!("fuzz: {} cannot be merged", target.name)));
            }
        }
    }
    Ok(())
}

fn chosen(name: Option<&str>) -> Outcome<Vec<Target>> {
    let Some(name) = name else { return Ok(TARGETS.to_vec()) };
    let found = TARGETS.iter().find(|target| target.name == name);
    found.map(|target| vec![*target]).ok_or_else(|| {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        Failure::usage(format!("--target {name}: there are {}", names.join(", ")))
    })
}

/// Runs the targets, some at a time; their findings in the same order.
fn run_all(targets: &[Target], programs: &Path, options: &FuzzOptions) -> Outcome<Vec<Findings>> {
    let next = AtomicUsize::new(0);
    let findings: Vec<Mutex<Option<Outcome<Findings>>>> =
        targets.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some((index, target)) = take(&next, targets) {
                    let found = Places::of(target, programs)
                        .and_then(|places| session::run(target, &places, options.seconds));
                    if let Ok(found) = &found {
                        println!("fuzz {}: {found}", target.name);
                    }
                    *findings[index].lock().unwrap_or_else(|error| error.into_inner()) =
                        Some(found);
                }
            });
        }
    });
    let findings = findings.into_iter().map(|found| {
        let found = found.into_inner().unwrap_or_else(|error| error.into_inner());
        found.unwrap_or_else(|| Err(Failure::check("a target was not run")))
    });
    findings.collect()
}

fn take<'t>(next: &AtomicUsize, targets: &'t [Target]) -> Option<(usize, &'t Target)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    targets.get(index).map(|target| (index, target))
}

fn table(targets: &[Target], findings: &[Findings]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["target", "executions", "exec/s", "edges", "new units", "result"]);
    for (target, found) in targets.iter().zip(findings) {
        table.add_row([
            target.name.to_owned(),
            found.executions.to_string(),
            found.executions_per_second.to_string(),
            found.edges.to_string(),
            found.new_units.to_string(),
            found.verdict().to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Says for each crash what it was and how to repeat it; the targets' names.
fn report_crashes(
    targets: &[Target],
    findings: &[Findings],
    programs: &Path,
) -> Outcome<Vec<&'static str>> {
    let mut crashed = Vec::new();
    for (target, found) in targets.iter().zip(findings).filter(|(_, found)| !found.succeeded) {
        let places = Places::of(target, programs)?;
        println!("{}: see {}", target.name, places.log.display());
        match &found.reproducer {
            Some(input) => {
                println!("  reproducer: {input}");
                println!("  repeat: {} {input}", places.program.display());
                println!(
                    "  shorten: {} -minimize_crash=1 -runs=10000 {input}",
                    places.program.display()
                );
                println!("  keep it: copy it to {} under a name", places.corpus.display());
            }
            None => println!("  no input was written: the program could not run"),
        }
        crashed.push(target.name);
    }
    Ok(crashed)
}
