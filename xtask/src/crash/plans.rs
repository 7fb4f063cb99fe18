//! The experiments, what `ci` and what a soak does of each, and what the
//! machine must have for it.

use super::report::Report;
use super::rig::Setting;
use super::shell::{self, Program};
use super::{
    Experiment, blk, clock, enospc, kill, map, memory, readonly, shut, slow, syscalls, thin,
};
use crate::failure::Outcome;

/// How much of an experiment a full soak does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SoakVolume {
    Cycles(u64),
    /// All there are, once; `ci` takes some.
    All,
}

/// One experiment.
pub(super) struct Plan {
    pub(super) experiment: Experiment,
    pub(super) name: &'static str,
    /// Cycles where the command line does not say: those of `ci`, which may be
    /// none.
    pub(super) cycles: u64,
    pub(super) soak: SoakVolume,
    pub(super) run: fn(&Setting, u64) -> Outcome<Report>,
    needs: &'static [Need],
}

/// Something that not every machine has.
enum Need {
    /// Leave to mount, and a loop device.
    Mounts,
    /// Installed where that is possible.
    Programs(&'static [Program]),
    /// A group of processes with a limit of its memory.
    MemoryGroup,
}

const EXT4: Need = Need::Programs(&[shell::MKFS_EXT4]);
const XFS: Need = Need::Programs(&[shell::MKFS_XFS]);
const EXPORTS: Need = Need::Programs(&[shell::FUSERMOUNT, shell::QEMU]);
const STRACE: Need = Need::Programs(&[shell::STRACE]);

const fn plan(
    experiment: Experiment,
    name: &'static str,
    volumes: (u64, SoakVolume),
    run: fn(&Setting, u64) -> Outcome<Report>,
    needs: &'static [Need],
) -> Plan {
    Plan { experiment, name, cycles: volumes.0, soak: volumes.1, run, needs }
}

use Experiment as E;
use SoakVolume::{All, Cycles};

pub(super) const PLANS: [Plan; 16] = [
    plan(E::Kill, "kill", (100, Cycles(5000)), kill::run, &[]),
    plan(
        E::Shut,
        "shut ext4",
        (20, Cycles(1000)),
        |setting, cycles| shut::run(setting, "ext4", cycles),
        &[Need::Mounts, EXT4],
    ),
    plan(
        E::Shut,
        "shut xfs",
        (20, Cycles(1000)),
        |setting, cycles| shut::run(setting, "xfs", cycles),
        &[Need::Mounts, XFS],
    ),
    // Of so many some find all synced by chance, and never half of them.
    plan(E::Shut, "shut control", (20, Cycles(100)), shut::run_control, &[Need::Mounts, EXT4]),
    plan(E::Thin, "thin", (6, Cycles(250)), thin::run, &[Need::Mounts, EXT4]),
    plan(
        E::Enospc,
        "enospc tmpfs",
        (3, Cycles(125)),
        |setting, cycles| enospc::run(setting, "tmpfs", cycles),
        &[Need::Mounts],
    ),
    plan(
        E::Enospc,
        "enospc ext4",
        (3, Cycles(125)),
        |setting, cycles| enospc::run(setting, "ext4", cycles),
        &[Need::Mounts, EXT4],
    ),
    plan(E::Blk, "blk", (30, Cycles(2000)), blk::run, &[Need::Mounts, EXT4, EXPORTS]),
    plan(
        E::Blk,
        "blk control",
        (10, Cycles(100)),
        blk::run_control,
        &[Need::Mounts, EXT4, EXPORTS],
    ),
    plan(E::Syscalls, "syscalls", (150, All), syscalls::run, &[STRACE]),
    plan(
        E::Map,
        "map",
        (10, Cycles(500)),
        map::run,
        &[Need::Mounts, EXT4, EXPORTS, Need::Programs(&[shell::DEBUGFS])],
    ),
    plan(E::Clock, "clock", (10, Cycles(500)), clock::run, &[Need::Programs(&[shell::FAKETIME])]),
    plan(E::Memory, "memory", (1, Cycles(50)), memory::run, &[Need::MemoryGroup]),
    plan(E::ReadOnly, "read-only", (5, Cycles(200)), readonly::run, &[Need::Mounts, EXT4]),
    plan(E::Slow, "slow", (5, Cycles(300)), slow::run, &[Need::Mounts, EXT4, STRACE]),
    plan(E::Hang, "hang", (0, Cycles(10)), slow::run_hang, &[STRACE]),
];

impl Plan {
    /// True if the command line asks for it.
    pub(super) fn is_chosen_by(&self, experiment: Experiment) -> bool {
        experiment == self.experiment || experiment == Experiment::All && self.cycles > 0
    }

    /// Why this machine cannot run it.
    pub(super) fn obstacle(&self) -> Option<String> {
        self.needs.iter().find_map(Need::obstacle)
    }
}

impl Need {
    fn obstacle(&self) -> Option<String> {
        match self {
            Need::Mounts if !shell::is_root() => {
                Some("it mounts file systems, and you are not root".into())
            }
            Need::Mounts => {
                (!shell::has_loop_devices()).then(|| "there is no free loop device".into())
            }
            Need::Programs(programs) => {
                let name = shell::missing(programs)?;
                Some(format!("{name} is not installed and cannot be"))
            }
            Need::MemoryGroup => memory::obstacle(),
        }
    }
}
