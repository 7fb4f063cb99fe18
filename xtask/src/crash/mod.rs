//! `cargo xtask crash`: the real server on the real kernel, killed, cut from
//! power and starved of space, again and again; what it acknowledged must be
//! there each time.
//!
//! | file | what |
//! |---|---|
//! | `writer`, `request`, `value`, `load` | clients that write, and what they are told |
//! | `worlds`, `linear`, `oracle`, `oracle_log` | what the server must hold therefore |
//! | `shell`, `tracer`, `scratch`, `leftovers`, `image`, `power_cut`, `block_device`, `block_log` | file systems of our own and their faults |
//! | `rig`, `report` | one database under test, one row of the table |
//! | `kill`, `shut`, `thin`, `enospc`, `blk`, `syscalls` with `script`, `map` with `map_reader`, `clock`, `memory`, `readonly`, `slow` | the experiments |
//! | `plans`, `soak` | which of them run, how often, and on what machines |

mod blk;
mod block_device;
mod block_log;
mod clock;
mod enospc;
mod image;
mod kill;
mod leftovers;
mod linear;
mod load;
mod map;
mod map_reader;
mod memory;
mod oracle;
mod oracle_log;
mod plans;
mod power_cut;
mod random;
mod readonly;
mod report;
mod request;
mod rig;
mod scratch;
mod script;
mod shell;
mod shut;
mod slow;
mod soak;
mod syscalls;
mod thin;
mod tracer;
mod value;
mod worlds;
mod writer;

use clap::{Args, ValueEnum};

pub(crate) use self::map_reader::{MapReaderOptions, run as map_reader};
pub(crate) use self::soak::{SoakOptions, run as soak};

use self::plans::PLANS;
use self::report::Report;
use self::rig::Setting;
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::machine::MachineLoad;
use crate::server_build::ServerChoice;

/// Options of `cargo xtask crash`.
#[derive(Debug, Args)]
pub(crate) struct CrashOptions {
    /// What to do to the server
    #[arg(value_enum)]
    experiment: Experiment,
    /// How often, per experiment and file system [default: the volume that `ci` runs]
    #[arg(long, value_name = "N")]
    cycles: Option<u64>,
    /// Repeat the choices of an earlier run [default: from the clock]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Keep the scratch directories, also where nothing was found
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    server: ServerChoice,
}

/// A way to hurt the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Experiment {
    /// SIGKILL under load
    Kill,
    /// Power cut of ext4 and xfs by the shutdown ioctl
    Shut,
    /// A device whose syncs fail with EIO
    Thin,
    /// A full disk that gets space again
    Enospc,
    /// Power cuts between any two block writes, from a log of them
    Blk,
    /// The N-th system call of a kind fails
    Syscalls,
    /// A mapped table that is cut short or cannot be read
    Map,
    /// Clocks that jump, under faketime
    Clock,
    /// A group of processes that may use 64 MiB
    Memory,
    /// A file system that turns read-only
    ReadOnly,
    /// Power cuts while syncs are held back
    Slow,
    /// A sync that takes longer than the server is patient
    Hang,
    /// All of them that `ci` runs
    All,
}

/// Runs the experiments and shows the table; fails if any found a violation.
pub(crate) fn run(options: &CrashOptions) -> Outcome {
    let seed = options.seed.unwrap_or_else(seed_of_now);
    let setting = Setting {
        binary: options.server.binary()?,
        seed,
        interrupt: Interrupt::install()?,
        keep: options.keep,
    };
    println!("seed {seed}");
    let mut reports = Vec::new();
    for plan in PLANS.iter().filter(|plan| plan.is_chosen_by(options.experiment)) {
        setting.interrupt.check()?;
        match plan.obstacle() {
            Some(obstacle) => println!("NOTICE: {} is skipped: {obstacle}", plan.name),
            None => {
                let cycles = options.cycles.unwrap_or(plan.cycles.max(1));
                let report = (plan.run)(&setting, cycles)?;
                println!("{} {:.1} s", report.name, report.seconds);
                reports.push(report);
            }
        }
    }
    conclude(options.experiment, &reports)
}

/// Shows what was done. Where the machine has the means for nothing of it, that is no
/// success for who has asked for this experiment and no other.
fn conclude(experiment: Experiment, reports: &[Report]) -> Outcome {
    if reports.is_empty() {
        println!("nothing was done: all that was asked for is skipped");
        return match experiment {
            Experiment::All => Ok(()),
            _ => Err(Failure::check("nothing was done")),
        };
    }
    println!("\n{}", report::table(reports));
    println!("load {}", MachineLoad::read().load_average);
    let violations: Vec<String> =
        reports.iter().filter_map(|report| Some(report.violation.as_ref()?.to_string())).collect();
    match violations.as_slice() {
        [] => Ok(()),
        found => Err(Failure::check(format!("violations:\n{}", found.join("\n")))),
    }
}

#[allow(clippy::disallowed_methods, reason = "a tool draws its seed from the real clock")]
fn seed_of_now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |time| time.as_millis() as u64 % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::{Experiment, conclude};

    #[test]
    fn an_experiment_that_was_asked_for_and_skipped_is_no_success() {
        assert!(conclude(Experiment::Thin, &[]).is_err());
        assert!(conclude(Experiment::All, &[]).is_ok());
    }
}
