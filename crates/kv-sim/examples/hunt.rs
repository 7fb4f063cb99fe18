//! Looks for a broken promise with everything there is: random histories,
//! histories cut at each of their ops, scripted workloads, and rot.
//!
//! Prints what it found and how, and ends with code 1; or with 0, if it found
//! nothing within its seeds.
//!
//! ```text
//! cargo run --release -p kv-sim --example hunt -- --seeds 1000
//! ```

use std::process::ExitCode;
use std::time::Duration;

use kv_sim::{Budget, Effort, Failure, Script, hunt, hunt_scripts, rot, script_of, workloads};

/// Histories of a few seconds at most; one that takes longer on the processor hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Scripted workloads that are cut at every op: one in so many, evenly.
const WORKLOAD_SHARE: usize = 12;

/// Damaged images of a history.
const ROTTEN_IMAGES: u64 = 60;

/// A way of looking, and how it is called.
type Method = (&'static str, fn(u64) -> Option<Failure>);

/// From the cheapest to the most expensive.
const METHODS: [Method; 4] = [
    ("random histories", as_they_are),
    ("random histories cut at every op", cut_everywhere),
    ("rot", rotten),
    ("workloads cut at every op", cut_workloads),
];

fn main() -> ExitCode {
    let Some(seeds) = seeds(std::env::args().skip(1)) else {
        eprintln!("usage: hunt [--seeds COUNT]");
        return ExitCode::from(2);
    };
    for (name, method) in METHODS {
        if let Some(failure) = method(seeds) {
            println!("{name}: {}\n{failure}", failure.what.lines().next().unwrap_or_default());
            return ExitCode::FAILURE;
        }
    }
    println!("nothing found with {seeds} seeds");
    ExitCode::SUCCESS
}

fn seeds(mut arguments: impl Iterator<Item = String>) -> Option<u64> {
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, ..) => Some(100),
        (Some("--seeds"), Some(count), None) => count.parse().ok(),
        _ => None,
    }
}

fn as_they_are(seeds: u64) -> Option<Failure> {
    hunt(0..seeds, &Budget { patience: PATIENCE, ..Budget::PLAIN })
}

/// Cutting a history everywhere costs as much as hundreds of plain ones.
fn cut_everywhere(seeds: u64) -> Option<Failure> {
    hunt(0..seeds / 100, &with_cuts())
}

fn cut_workloads(_: u64) -> Option<Failure> {
    hunt_scripts(workloads().into_iter().step_by(WORKLOAD_SHARE).collect(), &with_cuts())
}

fn with_cuts() -> Budget {
    Budget { cuts: Some(Effort::ORDINARY), patience: PATIENCE }
}

fn rotten(seeds: u64) -> Option<Failure> {
    let scripts = (0..seeds / 20).map(|seed| (seed, script_of(seed)));
    let find = |(seed, script): (u64, Script)| rot(&script, seed, ROTTEN_IMAGES).err();
    scripts.into_iter().find_map(find).map(|failure| *failure)
}
