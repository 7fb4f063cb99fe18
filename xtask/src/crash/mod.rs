//! `cargo xtask crash`: the real server on the real kernel, killed, cut from
//! power and starved of space, again and again; what it acknowledged must be
//! there each time.
//!
//! | file | what |
//! |---|---|
//! | `writer`, `request`, `value`, `load` | clients that write, and what they are told |
//! | `worlds`, `linear`, `oracle`, `oracle_log` | what the server must hold therefore |
//! | `shell`, `tracer`, `scratch`, `power_cut`, `block_device`, `block_log` | file systems of our own and their faults |
//! | `rig`, `report` | one database under test, one row of the table |
//! | `kill`, `shut`, `thin`, `enospc`, `blk`, `syscalls` with `script`, `map` with `map_reader` | the experiments |

mod blk;
mod block_device;
mod block_log;
mod enospc;
mod kill;
mod linear;
mod load;
mod map;
mod map_reader;
mod oracle;
mod oracle_log;
mod power_cut;
mod random;
mod report;
mod request;
mod rig;
mod scratch;
mod script;
mod shell;
mod shut;
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

use self::report::Report;
use self::rig::Setting;
use self::shell::Program;
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
    /// How often, per experiment and file system [default: what a push affords]
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
    /// All of them
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
    let chosen =
        |experiment| options.experiment == experiment || options.experiment == Experiment::All;
    let mut reports = Vec::new();
    for plan in PLANS.iter().filter(|plan| chosen(plan.experiment)) {
        setting.interrupt.check()?;
        match plan.obstacle() {
            Some(obstacle) => println!("NOTICE: {} is skipped: {obstacle}", plan.name),
            None => {
                let cycles = options.cycles.unwrap_or(plan.cycles);
                let report = (plan.run)(&setting, cycles)?;
                println!("{} {:.1} s", report.name, report.seconds);
                reports.push(report);
            }
        }
    }
    conclude(&reports)
}

/// A soak in which every system call can be made to fail once.
const LONG_SOAK_MINUTES: u64 = 30;

/// One line of what a push runs.
struct Plan {
    experiment: Experiment,
    name: &'static str,
    /// Cycles where the command line does not say.
    cycles: u64,
    needs_root: bool,
    programs: &'static [Program],
    run: fn(&Setting, u64) -> Outcome<Report>,
}

const PLANS: [Plan; 11] = [
    Plan {
        experiment: Experiment::Kill,
        name: "kill",
        cycles: 100,
        needs_root: false,
        programs: &[],
        run: kill::run,
    },
    Plan {
        experiment: Experiment::Shut,
        name: "shut ext4",
        cycles: 20,
        needs_root: true,
        programs: &[shell::MKFS_EXT4],
        run: |setting, cycles| shut::run(setting, "ext4", cycles),
    },
    Plan {
        experiment: Experiment::Shut,
        name: "shut xfs",
        cycles: 20,
        needs_root: true,
        programs: &[shell::MKFS_XFS],
        run: |setting, cycles| shut::run(setting, "xfs", cycles),
    },
    Plan {
        experiment: Experiment::Shut,
        name: "shut control",
        cycles: 3,
        needs_root: true,
        programs: &[shell::MKFS_EXT4],
        run: shut::run_control,
    },
    Plan {
        experiment: Experiment::Thin,
        name: "thin",
        cycles: 6,
        needs_root: true,
        programs: &[shell::MKFS_EXT4],
        run: thin::run,
    },
    Plan {
        experiment: Experiment::Enospc,
        name: "enospc tmpfs",
        cycles: 3,
        needs_root: true,
        programs: &[],
        run: |setting, cycles| enospc::run(setting, "tmpfs", cycles),
    },
    Plan {
        experiment: Experiment::Enospc,
        name: "enospc ext4",
        cycles: 3,
        needs_root: true,
        programs: &[shell::MKFS_EXT4],
        run: |setting, cycles| enospc::run(setting, "ext4", cycles),
    },
    Plan {
        experiment: Experiment::Blk,
        name: "blk",
        cycles: 30,
        needs_root: true,
        programs: &[shell::MKFS_EXT4, shell::FUSERMOUNT, shell::QEMU],
        run: blk::run,
    },
    Plan {
        experiment: Experiment::Blk,
        name: "blk control",
        cycles: 10,
        needs_root: true,
        programs: &[shell::MKFS_EXT4, shell::FUSERMOUNT, shell::QEMU],
        run: blk::run_control,
    },
    Plan {
        experiment: Experiment::Syscalls,
        name: "syscalls",
        cycles: 150,
        needs_root: false,
        programs: &[shell::STRACE],
        run: syscalls::run,
    },
    Plan {
        experiment: Experiment::Map,
        name: "map",
        cycles: 10,
        needs_root: true,
        programs: &[shell::MKFS_EXT4, shell::FUSERMOUNT, shell::QEMU, shell::DEBUGFS],
        run: map::run,
    },
];

impl Plan {
    /// Cycles of one round of a soak: every system call if there is time for
    /// that, the rest as a push.
    fn soak_cycles(&self, minutes: u64) -> u64 {
        let is_long = minutes >= LONG_SOAK_MINUTES;
        if is_long && self.experiment == Experiment::Syscalls { u64::MAX } else { self.cycles }
    }

    /// Why this machine cannot run it.
    fn obstacle(&self) -> Option<String> {
        if self.needs_root && !shell::is_root() {
            return Some("it mounts file systems, and you are not root".into());
        }
        if let Some(program) = shell::missing(self.programs) {
            return Some(format!("{program} is not installed and cannot be"));
        }
        let has_loops = !self.needs_root || shell::has_loop_devices();
        (!has_loops).then(|| "there is no free loop device".into())
    }
}

fn conclude(reports: &[Report]) -> Outcome {
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
