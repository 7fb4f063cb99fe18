//! `cargo xtask museum`: the crash simulation must catch known bugs.
//!
//! A harness that finds nothing proves nothing until it has been seen to find
//! something. So the bugs that have cost users of other engines their data are
//! put into this one, one at a time, and the simulation has to notice each
//! within its budget, and nothing in the engine as it is. For a few, that cannot
//! show in a crash, a test of the engine takes its place; for those that only an
//! order of the threads brings to light, a test that tries such orders.
//!
//! 1. Copy the crates and apply all mutants, each behind a switch.
//! 2. Build the copy once.
//! 3. Hunt for each mutant, by the name in an environment variable, and once
//!    without any.

mod bugs;
mod copy;
mod hunters;
mod mutants;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use clap::Args;

use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::workspace::source_root;
use copy::write_copy;
use hunters::Hunters;
use mutants::{Hunt, Mutant, all};

/// The name under which the engine as it is stands in the table.
const UNCHANGED: &str = "(the engine as it is)";

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
        list(&mutants);
        return Ok(());
    }
    let interrupt = Interrupt::install()?;
    let started = now();
    let workspace = source_root().join("target/museum");
    write_copy(&source_root(), &workspace, &mutants)?;
    let count = mutants.len();
    let programme = programme(mutants, options.mutant.as_deref().unwrap_or_default());
    let hunters = Hunters::build(&workspace, programme.iter().map(|show| show.hunt))?;
    println!("built {count} mutants in {:.0} s", started.elapsed().as_secs_f64());

    let queue = Mutex::new(programme);
    let next = || queue.lock().expect("no hunt panics while it takes an exhibit").pop_front();
    let exhibits = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..JOBS)
            .map(|_| {
                scope.spawn(|| -> Outcome {
                    while let Some(show) = next() {
                        interrupt.check()?;
                        let exhibit = exhibit(&hunters, show, options.seeds, &interrupt)?;
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

/// Shows one mutant, or the engine as it is, to its hunter.
fn exhibit(hunters: &Hunters, show: Show, seeds: u64, interrupt: &Interrupt) -> Outcome<Exhibit> {
    let started = now();
    let name = show.mutant.map_or("", |mutant| mutant.name);
    let caught_by = hunters.hunt(show.hunt, name, seeds, interrupt)?;
    Ok(Exhibit { mutant: show.mutant, caught_by, seconds: started.elapsed().as_secs_f64() })
}

/// The mutants, and which bugs of other engines each stands for.
fn list(mutants: &[Mutant]) {
    for mutant in mutants {
        println!("{:<34} {}\n{:34} {}", mutant.name, mutant.bug, "", mutant.file);
    }
    println!("\nBugs of other engines, and the mutants that stand for them:");
    for bug in &bugs::BUGS {
        println!("{:<40} {}\n{:40} {}", bug.seen_in, bug.what, "", bug.mutants.join(", "));
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
