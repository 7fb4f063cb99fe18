//! The command line: one sub-command per tool.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::bench::{self, BenchOptions};
use crate::blackbox::{self, BlackboxOptions};
use crate::ci;
use crate::coverage::{self, CoverageOptions};
use crate::crash::{self, CrashOptions, MapReaderOptions, SoakOptions};
use crate::demo::{self, DemoOptions};
use crate::failure::Outcome;
use crate::fuzz::{self, FuzzOptions};
use crate::museum::{self, MuseumOptions};
use crate::probe::{self, ProbeOptions};
use crate::sanitize::{self, SanitizeOptions};
use crate::sim::{self, SimOptions};
use crate::tidy;

/// The project's own tools.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Debug, Subcommand)]
enum Tool {
    /// Check the rules of the house that a machine can check
    Tidy,
    /// Run everything that has to be green before a change lands
    Ci,
    /// Show the whole store at work: log, tables, compaction, kill -9, recovery
    Demo(DemoOptions),
    /// Measure the engine: table on screen, JSON and SVG files
    Bench(BenchOptions),
    /// Drive the real server with redis-cli, redis-benchmark and redis-py
    Blackbox(BlackboxOptions),
    /// Measure what one durable write costs on this disk, and what disturbs it
    Probe(ProbeOptions),
    /// Kill the real server, cut its power, starve it of space; nothing acknowledged may be lost
    Crash(CrashOptions),
    /// What `crash map` runs and hurts: read every key of its database
    #[command(hide = true)]
    MapReader(MapReaderOptions),
    /// Everything that hurts the store for as long as asked for, with a page of results
    Soak(SoakOptions),
    /// Run the fuzz targets, on a stable compiler
    Fuzz(FuzzOptions),
    /// Show which lines of the crash-critical code the tests reach
    Coverage(CoverageOptions),
    /// Crash the engine on a simulated disk: at every op, and from seeds
    Sim(SimOptions),
    /// Put known bugs into a copy of the engine; the crash simulation must catch each
    Museum(MuseumOptions),
    /// Look for undefined behaviour and data races, on a nightly compiler
    Sanitize(SanitizeOptions),
}

/// Runs the tool that the command line names.
pub fn run() -> ExitCode {
    match dispatch(Arguments::parse().tool) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code)
        }
    }
}

fn dispatch(tool: Tool) -> Outcome {
    match tool {
        Tool::Tidy => tidy::run(),
        Tool::Ci => ci::run(),
        Tool::Demo(options) => demo::run(options),
        Tool::Bench(options) => bench::run(&options),
        Tool::Blackbox(options) => blackbox::run(&options),
        Tool::Probe(options) => probe::run(&options),
        Tool::Museum(options) => museum::run(&options),
        Tool::Sanitize(options) => sanitize::run(&options),
        Tool::Crash(options) => crash::run(&options),
        Tool::MapReader(options) => crash::map_reader(&options),
        Tool::Soak(options) => crash::soak(&options),
        Tool::Fuzz(options) => fuzz::run(&options),
        Tool::Coverage(options) => coverage::run(&options),
        Tool::Sim(options) => sim::run(&options),
    }
}
