//! `cargo xtask museum`: the crash simulation must catch known bugs.
//!
//! A harness that finds nothing proves nothing until it has been seen to find
//! something. So the bugs that have cost users of other engines their data are
//! put into this one, one at a time, and the simulation has to notice each
//! within its budget, and nothing in the engine as it is. For a few, that cannot
//! show in a crash, a test of the engine takes its place.
//!
//! 1. Copy the crates and apply all mutants, each behind a switch.
//! 2. Build the copy once.
//! 3. Hunt for each mutant, by the name in an environment variable, and once
//!    without any.

mod copy;
mod mutants;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use clap::Args;

use crate::failure::{Context, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::workspace::{cargo_program, source_root};
use copy::{HUNT, SWITCH_VARIABLE, TESTS, write_copy};
use mutants::{Hunt, Mutant, all};

/// The name under which the engine as it is stands in the table.
const UNCHANGED: &str = "(the engine as it is)";

/// What the hunt returns when it has found something, and what a test does.
const FOUND: [i32; 2] = [1, 101];

/// Exhibits shown at the same time: one a core of a small machine.
const JOBS: usize = 2;

/// Options of the museum.
#[derive(Debug, Args)]
pub(crate) struct MuseumOptions {
    /// Show only mutants whose name contains this
    #[arg(long, value_name = "TEXT")]
    mutant: Option<String>,
    /// Seeds that the hunt may use for a mutant
    #[arg(long, default_value_t = 400, value_name = "COUNT")]
    seeds: u64,
    /// List the mutants and stop
    #[arg(long)]
    list: bool,
}

/// The programs of the copy.
struct Hunters {
    simulation: PathBuf,
    tests: PathBuf,
}

/// What is shown, and to whom.
#[derive(Clone, Copy)]
struct Show {
    /// `None` is the engine as it is.
    mutant: Option<Mutant>,
    hunt: Hunt,
}

/// One exhibit after its hunt.
struct Exhibit {
    mutant: Option<Mutant>,
    /// What the hunt reports, or `None` if it found nothing.
    caught_by: Option<String>,
    seconds: f64,
}

impl Exhibit {
    fn name(&self) -> &'static str {
        self.mutant.map_or(UNCHANGED, |mutant| mutant.name)
    }

    /// Mutants are to be caught, and the engine as it is is not.
    fn is_as_it_should_be(&self) -> bool {
        self.mutant.is_some() == self.caught_by.is_some()
    }
}

/// Runs `cargo xtask museum`.
pub(crate) fn run(options: &MuseumOptions) -> Outcome {
    let mutants = all();
    if options.list {
        for mutant in &mutants {
            println!("{:<34} {}\n{:34} {}", mutant.name, mutant.bug, "", mutant.file);
        }
        return Ok(());
    }
    let interrupt = Interrupt::install()?;
    let started = now();
    let workspace = source_root().join("target/museum");
    write_copy(&source_root(), &workspace, &mutants)?;
    let hunters = build(&workspace)?;
    println!("built {} mutants in {:.0} s", mutants.len(), started.elapsed().as_secs_f64());

    let wanted = options.mutant.as_deref().unwrap_or_default();
    let queue = Mutex::new(programme(mutants, wanted));
    let next = || queue.lock().expect("no hunt panics while it takes an exhibit").pop_front();
    let exhibits = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..JOBS)
            .map(|_| {
                scope.spawn(|| -> Outcome {
                    while let Some(show) = next() {
                        interrupt.check()?;
                        let exhibit = hunt(&hunters, show, options.seeds)?;
                        print_exhibit(&exhibit);
                        exhibits.lock().expect("no hunt panics while it reports").push(exhibit);
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a hunt does not panic"))
    })?;
    let exhibits = exhibits.into_inner().expect("all hunts have ended");
    summarise(&exhibits, started.elapsed().as_secs_f64())
}

/// The engine as it is for every hunt, then the wanted mutants.
fn programme(mutants: Vec<Mutant>, wanted: &str) -> VecDeque<Show> {
    let shown: Vec<Mutant> =
        mutants.into_iter().filter(|mutant| mutant.name.contains(wanted)).collect();
    let mut hunts: Vec<Hunt> = Vec::new();
    for mutant in &shown {
        if !hunts.contains(&mutant.hunt) {
            hunts.push(mutant.hunt);
        }
    }
    let controls = hunts.into_iter().map(|hunt| Show { mutant: None, hunt });
    let mutants = shown.into_iter().map(|mutant| Show { mutant: Some(mutant), hunt: mutant.hunt });
    controls.chain(mutants).collect()
}

/// Builds the programs of the copy, beside those of the original: what both
/// depend on is built once.
fn build(workspace: &Path) -> Outcome<Hunters> {
    let simulation = ["build", "--package", "kv-sim", "--example", HUNT];
    let tests = ["test", "--no-run", "--package", "kv-engine", "--test", TESTS];
    Ok(Hunters {
        simulation: program(&cargo(workspace, &simulation)?, "kv-sim", HUNT)?,
        tests: program(&cargo(workspace, &tests)?, "kv-engine", TESTS)?,
    })
}

/// Runs Cargo in the copy and returns its messages.
fn cargo(workspace: &Path, arguments: &[&str]) -> Outcome<String> {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| source_root().join("target"), PathBuf::from);
    let output = Command::new(cargo_program())
        .args(arguments)
        .args(["--quiet", "--offline", "--message-format", "json"])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(workspace)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        let command = arguments.join(" ");
        return Err(Failure::check(format!(
            "the mutants do not compile; see: (cd {} && cargo {command})",
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

/// Hunts in a process of its own: a mutant may hang, abort or overflow.
fn hunt(hunters: &Hunters, show: Show, seeds: u64) -> Outcome<Exhibit> {
    let started = now();
    let mut command = match show.hunt {
        Hunt::Simulation => {
            let mut command = Command::new(&hunters.simulation);
            command.args(["--seeds", &seeds.to_string()]);
            command
        }
        Hunt::Test(name) => {
            let mut command = Command::new(&hunters.tests);
            command.args([name, "--test-threads", "1"]);
            command
        }
    };
    let child = command
        .env(SWITCH_VARIABLE, show.mutant.map_or("", |mutant| mutant.name))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start a hunt")?;
    let caught_by = outcome_of(child, show.hunt)?;
    Ok(Exhibit { mutant: show.mutant, caught_by, seconds: started.elapsed().as_secs_f64() })
}

/// What the hunt reports, if it found something. A process that died of a signal
/// has found something too.
fn outcome_of(child: Child, hunt: Hunt) -> Outcome<Option<String>> {
    let output = child.wait_with_output().context("cannot wait for a hunt")?;
    let report = String::from_utf8_lossy(&output.stdout);
    let found = match hunt {
        Hunt::Simulation => report.clone().into_owned(),
        Hunt::Test(name) => name.to_owned(),
    };
    let was_run = hunt == Hunt::Simulation || !report.contains("running 0 tests");
    match output.status.code() {
        Some(0) if was_run => Ok(None),
        Some(code) if FOUND.contains(&code) => Ok(Some(found)),
        Some(code) => Err(Failure::check(format!("a hunt ended with code {code}: {found}"))),
        None => Ok(Some(format!("the process ended by {}", output.status))),
    }
}

fn print_exhibit(exhibit: &Exhibit) {
    let word = match (exhibit.is_as_it_should_be(), &exhibit.caught_by) {
        (true, Some(_)) => "caught",
        (true, None) => "sound",
        (false, Some(_)) => "WRONG ",
        (false, None) => "MISSED",
    };
    let report = exhibit.caught_by.as_deref().unwrap_or("nothing found");
    let by: String = report.lines().next().unwrap_or_default().chars().take(100).collect();
    println!("{word} {:<34} {:>6.1} s  {by}", exhibit.name(), exhibit.seconds);
    if exhibit.mutant.is_none() && exhibit.caught_by.is_some() {
        // A bug of ours: all that is known of it.
        println!("{report}");
    }
}

fn summarise(exhibits: &[Exhibit], seconds: f64) -> Outcome {
    let mutants = exhibits.iter().filter(|exhibit| exhibit.mutant.is_some()).count();
    let wrong: Vec<&str> = exhibits
        .iter()
        .filter(|exhibit| !exhibit.is_as_it_should_be())
        .map(Exhibit::name)
        .collect();
    if wrong.is_empty() {
        println!("museum: {mutants} of {mutants} mutants caught in {seconds:.0} s");
        return Ok(());
    }
    Err(Failure::check(format!("museum: not as it should be: {}", wrong.join(", "))))
}

#[allow(clippy::disallowed_methods, reason = "a tool measures real time")]
fn now() -> Instant {
    Instant::now()
}
