//! `cargo xtask soak`: everything that hurts the store, for as long as asked
//! for, and a page of what came of it.
#![allow(clippy::disallowed_methods, reason = "a tool measures real time and writes its report")]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;

use super::report::Report;
use super::rig::Setting;
use super::{PLANS, report, seed_of_now, shell};
use crate::failure::{Context, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::machine::Machine;
use crate::server_build::ServerChoice;
use crate::workspace::source_root;

/// Options of `cargo xtask soak`.
#[derive(Debug, Args)]
pub(crate) struct SoakOptions {
    /// How long, in minutes; the last round is finished
    #[arg(long, default_value_t = 75)]
    minutes: u64,
    /// Repeat the choices of an earlier run [default: from the clock]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    #[command(flatten)]
    server: ServerChoice,
}

/// Shares of the time, in percent; the rest is for the experiments of `crash`.
const SIM_PERCENT: u64 = 20;
const FUZZ_PERCENT: u64 = 20;
/// Fuzz targets among which their share is divided.
const FUZZ_TARGETS: u64 = 12;

/// A tool of ours that runs as a process of its own.
struct Companion {
    name: &'static str,
    arguments: Vec<String>,
}

/// Runs it all and writes `docs/soak/DATE.md`; fails if anything was found.
pub(crate) fn run(options: &SoakOptions) -> Outcome {
    let started = Instant::now();
    let seed = options.seed.unwrap_or_else(seed_of_now);
    let binary = options.server.binary()?;
    let interrupt = Interrupt::install()?;
    println!("seed {seed}");
    let total = options.minutes * 60;
    let own = total * (100 - SIM_PERCENT - FUZZ_PERCENT) / 100;
    let mut totals: Vec<Report> = Vec::new();
    let mut round = 0;
    while started.elapsed() < Duration::from_secs(own) {
        let setting =
            Setting { binary: binary.clone(), seed: seed + round, interrupt: interrupt.clone() };
        run_round(&setting, &mut totals)?;
        round += 1;
    }
    let mut page = page(seed, round, &totals)?;
    let fuzz_seconds = (total * FUZZ_PERCENT / 100 / FUZZ_TARGETS).max(1);
    let sim_minutes = (options.minutes * SIM_PERCENT).div_ceil(100).to_string();
    let mut failed = Vec::new();
    for companion in [
        Companion {
            name: "sim",
            arguments: ["sim", "--minutes", &sim_minutes, "--from", &seed.to_string()]
                .map(String::from)
                .to_vec(),
        },
        Companion {
            name: "fuzz",
            arguments: vec!["fuzz".into(), "--seconds".into(), fuzz_seconds.to_string()],
        },
    ] {
        interrupt.check()?;
        let line = companion.run()?;
        println!("{line}");
        // Writing to memory cannot fail.
        let _ = writeln!(page, "\n{line}");
        if line.contains("FAILED") {
            failed.push(line);
        }
    }
    let path = write_page(&page)?;
    println!("\n{}\n{}", report::table(&totals), path.display());
    failed.extend(totals.into_iter().filter_map(|report| report.violation));
    match failed.as_slice() {
        [] => Ok(()),
        found => Err(Failure::check(format!("violations:\n{}", found.join("\n")))),
    }
}

/// Every experiment once, with what a push affords.
fn run_round(setting: &Setting, totals: &mut Vec<Report>) -> Outcome {
    for plan in &PLANS {
        setting.interrupt.check()?;
        if let Some(obstacle) = plan.obstacle() {
            println!("NOTICE: {} is skipped: {obstacle}", plan.name);
            continue;
        }
        let report = (plan.run)(setting, plan.soak_cycles())?;
        println!("{} {:.1} s", report.name, report.seconds);
        match totals.iter_mut().find(|total| total.name == report.name) {
            Some(total) => total.add(report),
            None => totals.push(report),
        }
    }
    Ok(())
}

impl Companion {
    /// Runs it to its end; what came of it in one line.
    fn run(&self) -> Outcome<String> {
        let own = std::env::current_exe().context("where this program is")?;
        let command = |arguments: &[String]| {
            Command::new(&own).args(arguments).current_dir(source_root()).output()
        };
        let help = command(&[self.name.into(), "--help".into()]).context(self.name)?;
        if !help.status.success() {
            return Ok(format!("NOTICE: {} is skipped: there is no such tool here", self.name));
        }
        let output = command(&self.arguments).context(self.name)?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let words = self.arguments.join(" ");
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            return Ok(format!("{words}: FAILED: {printed}{complaint}"));
        }
        Ok(format!("`{words}` found nothing:\n\n```text\n{}\n```", printed.trim_end()))
    }
}

fn page(seed: u64, rounds: u64, totals: &[Report]) -> Outcome<String> {
    let date = shell::run("date", &["-u", "+%Y-%m-%d %H:%M UTC"])?;
    let Machine { cpu, cores, kernel, commit, .. } = Machine::describe(&std::env::temp_dir());
    let mut page = format!(
        "# Soak of {date}\n\nCommit {commit}, {cores} cores of {cpu}, kernel {kernel}; \
         seed {seed}, {rounds} rounds.\n\n```text\n{}\n```\n",
        report::table(totals)
    );
    for violation in totals.iter().filter_map(|total| total.violation.as_ref()) {
        // Writing to memory cannot fail.
        let _ = writeln!(page, "\nVIOLATION: {violation}");
    }
    Ok(page)
}

fn write_page(page: &str) -> Outcome<PathBuf> {
    let directory = source_root().join("docs/soak");
    fs::create_dir_all(&directory).context(directory.display())?;
    let name = shell::run("date", &["-u", "+%Y-%m-%dT%H%MZ.md"])?;
    let path = directory.join(name);
    fs::write(&path, page).context(path.display())?;
    Ok(path)
}
