//! `cargo xtask soak`: everything that hurts the store, for as long as asked
//! for, and a page of what came of it.
#![allow(clippy::disallowed_methods, reason = "a tool measures real time and writes its report")]

use std::collections::BTreeSet;
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
use crate::machine::{Machine, MachineLoad};
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

/// What came of a companion; but for a notice, sections of the page.
enum Companionship {
    Skipped(String),
    Passed(String),
    Failed(String),
}

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
    let (mut totals, mut notices) = (Vec::new(), BTreeSet::new());
    let load = MachineLoad::read();
    let mut round = 0;
    while started.elapsed() < Duration::from_secs(own) {
        let (binary, interrupt) = (binary.clone(), interrupt.clone());
        let setting = Setting { binary, seed: seed + round, interrupt, keep: false };
        run_round(&setting, options.minutes, &mut totals, &mut notices)?;
        round += 1;
    }
    let mut page = page(seed, round, options.minutes, &totals, &load)?;
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
        Companion { name: "museum", arguments: vec!["museum".into()] },
    ] {
        interrupt.check()?;
        match companion.run()? {
            Companionship::Skipped(notice) => drop(notices.insert(notice)),
            Companionship::Passed(text) => add(&mut page, &text),
            Companionship::Failed(text) => {
                add(&mut page, &text);
                failed.push(text);
            }
        }
    }
    for notice in &notices {
        println!("NOTICE: {notice}");
        add(&mut page, &format!("Skipped: {notice}."));
    }
    let path = write_page(&page)?;
    println!("\n{}\n{}", report::table(&totals), path.display());
    failed.extend(totals.iter().filter_map(|total| Some(total.violation.as_ref()?.to_string())));
    match failed.as_slice() {
        [] => Ok(()),
        found => Err(Failure::check(format!("violations:\n{}", found.join("\n")))),
    }
}

/// Every experiment once, with what a push affords.
fn run_round(
    setting: &Setting,
    minutes: u64,
    totals: &mut Vec<Report>,
    notices: &mut BTreeSet<String>,
) -> Outcome {
    for plan in &PLANS {
        setting.interrupt.check()?;
        if let Some(obstacle) = plan.obstacle() {
            notices.insert(format!("{}, {obstacle}", plan.name));
            continue;
        }
        let report = (plan.run)(setting, plan.soak_cycles(minutes))?;
        println!("{} {:.1} s", report.name, report.seconds);
        match totals.iter_mut().find(|total| total.name == report.name) {
            Some(total) => total.add(report),
            None => totals.push(report),
        }
    }
    Ok(())
}

impl Companion {
    /// Runs it to its end and says what came of it.
    fn run(&self) -> Outcome<Companionship> {
        let own = std::env::current_exe().context("where this program is")?;
        let command = |arguments: &[String]| {
            Command::new(&own).args(arguments).current_dir(source_root()).output()
        };
        let help = command(&[self.name.into(), "--help".into()]).context(self.name)?;
        if !help.status.success() {
            let notice = format!("{}, there is no such tool here", self.name);
            return Ok(Companionship::Skipped(notice));
        }
        let output = command(&self.arguments).context(self.name)?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let words = self.arguments.join(" ");
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let printed = quote(&format!("{printed}{complaint}"));
            let text = format!("VIOLATION: `{words}`:\n\n{printed}");
            return Ok(Companionship::Failed(text));
        }
        Ok(Companionship::Passed(format!("`{words}` found nothing:\n\n{}", quote(&printed))))
    }
}

/// What a tool printed, without the places of this machine.
fn quote(printed: &str) -> String {
    let printed = printed.replace(&*source_root().to_string_lossy(), ".");
    let places = std::env::temp_dir().join("");
    let printed = printed.replace(&*places.to_string_lossy(), "");
    format!("```text\n{}\n```", printed.trim_end())
}

fn add(page: &mut String, section: &str) {
    // Writing to memory cannot fail.
    let _ = writeln!(page, "\n{section}");
}

fn page(
    seed: u64,
    rounds: u64,
    minutes: u64,
    totals: &[Report],
    load: &MachineLoad,
) -> Outcome<String> {
    let date = shell::run("date", &["-u", "+%Y-%m-%d %H:%M UTC"])?;
    let Machine { cpu, cores, kernel, commit, .. } = Machine::describe(&std::env::temp_dir());
    let mut page = format!(
        "# Soak of {date}\n\nCommit {commit}, {cores} cores of {cpu}, kernel {kernel}; \
         {minutes} minutes, seed {seed}, {rounds} rounds of `cargo xtask crash all`.\n\n\
         Load average at the start: {}.\n",
        load.load_average
    );
    if !load.is_quiet() {
        add(&mut page, "**Something else kept the machine busy: the times say nothing.**");
    }
    add(&mut page, &quote(&report::table(totals)));
    let violations: Vec<_> = totals.iter().filter_map(|total| total.violation.as_ref()).collect();
    for violation in &violations {
        add(&mut page, &format!("VIOLATION:\n\n{}", quote(&violation.what)));
    }
    if violations.is_empty() {
        add(&mut page, "No violation in the table above.");
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
