//! Random histories: one number decides everything.

use kv_engine::Durability;
use kv_env::{CrashChoice, Failure, Operation};

use crate::random::Random;
use crate::script::Script;
use crate::settings::Settings;
use crate::step::{Batch, Change, Cut, Direction, Step};
use crate::trouble::{DeviceEffect, DeviceRule, FaultRule};

/// Steps of a history, crashes and their like not counted.
const MIN_STEPS: u64 = 10;
const MAX_STEPS: u64 = 70;

/// Keys of a history at most.
const MAX_KEYS: u64 = 40;

/// What failing calls report: all there is, some twice.
const FAILURES: [Failure; 14] = [
    Failure::Device,
    Failure::Device,
    Failure::NoSpace,
    Failure::NoSpace,
    Failure::TooManyOpenFiles,
    Failure::OutOfMemory,
    Failure::Quota,
    Failure::ReadOnly,
    Failure::Stale,
    Failure::AccessDenied,
    Failure::FileTooLarge,
    Failure::Interrupted,
    Failure::Panic,
    Failure::Panic,
];

/// The calls that fail, where not all do.
const OPERATIONS: [Operation; 18] = [
    Operation::Create,
    Operation::Open,
    Operation::Rename,
    Operation::Remove,
    Operation::Truncate,
    Operation::CreateDir,
    Operation::List,
    Operation::SyncDir,
    Operation::Lock,
    Operation::FreeSpace,
    Operation::Reserve,
    Operation::Append,
    Operation::ZeroFill,
    Operation::Sync,
    Operation::Seal,
    Operation::Read,
    Operation::Map,
    Operation::DropCache,
];

/// Files that the device confuses with others.
const NEIGHBOURS: [&str; 6] = [
    "wal.log",
    "wal_next.log",
    "MANIFEST_000001",
    "sst_000001.db",
    "sst_000002.db",
    "compacted_000003.db",
];

/// The history of a seed.
pub fn script_of(seed: u64) -> Script {
    let mut random = Random::new(seed);
    let settings = Settings::draw(&mut random);
    let mut generator = Generator {
        keys: random.pick(&[3, 12, MAX_KEYS]),
        max_len: random.pick(&[30, 300, 5000]),
        faults: random.one_in(2),
        device: random.one_in(2),
        crashes: !random.one_in(4),
        random,
        steps: Vec::new(),
    };
    let count = MIN_STEPS + generator.random.below(MAX_STEPS - MIN_STEPS);
    for _ in 0..count {
        generator.add();
    }
    generator.steps.extend([Step::Settle, Step::Release, Step::Reopen]);
    Script { about: format!("Seed {seed}."), settings, steps: generator.steps }
}

/// What one seed is fond of; the swarm of seeds covers all.
struct Generator {
    random: Random,
    keys: u64,
    max_len: u64,
    faults: bool,
    device: bool,
    crashes: bool,
    steps: Vec<Step>,
}

impl Generator {
    fn add(&mut self) {
        let step = match self.random.below(68) {
            0..24 => Step::Write(self.batch()),
            24..28 => {
                let count = 2 + self.random.below(6);
                Step::Crowd((0..count).map(|_| self.batch()).collect())
            }
            28..31 => {
                let (key, disturbed) = (self.key(), self.random.one_in(3));
                Step::Update { key, batch: self.batch(), disturbed }
            }
            31..35 => Step::Get(self.key()),
            35..38 => {
                let direction = self.random.pick(&[Direction::Forward, Direction::Backward]);
                Step::Scan(self.key(), self.key(), direction)
            }
            38..40 => Step::Snapshot,
            40 => Step::Iterate(self.random.below(8) as u16),
            41 => Step::Release,
            42..50 => Step::Background(1 + self.random.below(3) as u32),
            50..52 => Step::Settle,
            52 => Step::Flush,
            53 => Step::Compact,
            54 => Step::CompactRange(self.key(), self.key()),
            55..57 => Step::Reopen,
            57..59 if self.crashes => Step::Kill(self.random.below(6)),
            59..61 if self.crashes => self.cut(),
            61..68 if self.faults => return self.trouble(),
            _ => Step::Write(self.batch()),
        };
        self.steps.push(step);
    }

    fn key(&mut self) -> u16 {
        self.random.below(self.keys) as u16
    }

    fn batch(&mut self) -> Batch {
        let durability =
            self.random.pick(&[Durability::Sync, Durability::Interval, Durability::Os]);
        let count = self.random.below(5);
        let changes = (0..count).map(|_| self.change()).collect();
        Batch { durability, changes, bare: self.random.one_in(8) }
    }

    fn change(&mut self) -> Change {
        let key = self.key();
        if self.random.one_in(4) {
            return Change::Delete(key);
        }
        let bound = self.random.pick(&[30, self.max_len]);
        Change::Put(key, self.random.below(bound) as u32)
    }

    fn cut(&mut self) -> Step {
        let ops_back = if self.random.one_in(2) { 0 } else { self.random.below(30) };
        let keeps = match self.random.below(5) {
            0 => CrashChoice::None,
            1 => CrashChoice::All,
            2 => CrashChoice::Prefix(self.random.below(20) as usize),
            _ => CrashChoice::Seeded(self.random.next()),
        };
        Step::Cut(Cut { ops_back, keeps })
    }

    /// A fault, some steps under it, and the way out.
    fn trouble(&mut self) {
        let fault = match self.random.below(6) {
            0 => Step::Capacity(self.random.below(200 << 10)),
            1..4 if self.device => self.device_fault(),
            _ => self.fault(),
        };
        // What a device has stored wrongly is seen behind a power cut.
        let is_hidden = matches!(&fault, Step::Device(rule) if rule.damages());
        self.steps.push(fault);
        for _ in 0..1 + self.random.below(6) {
            let step = self.step_in_trouble();
            self.steps.push(step);
        }
        match self.random.below(4) {
            _ if is_hidden => {
                let cut = self.cut();
                self.steps.push(cut);
            }
            0 => self.steps.push(Step::Kill(self.random.below(3))),
            1 => {
                let cut = self.cut();
                self.steps.push(cut);
            }
            2 => self.steps.extend([Step::ClearFaults, Step::Reopen]),
            // Without an open: writing heals where it may, else it is refused.
            _ => self.steps.push(Step::ClearFaults),
        }
    }

    fn step_in_trouble(&mut self) -> Step {
        match self.random.below(14) {
            0 => Step::Flush,
            1 => Step::Background(1 + self.random.below(4) as u32),
            2 => Step::Get(self.key()),
            3 => Step::Scan(self.key(), self.key(), Direction::Forward),
            4 => Step::Compact,
            5..7 => Step::Reopen,
            7 => {
                let count = 2 + self.random.below(4);
                Step::Crowd((0..count).map(|_| self.batch()).collect())
            }
            8 => {
                let (key, disturbed) = (self.key(), self.random.one_in(3));
                Step::Update { key, batch: self.batch(), disturbed }
            }
            _ => Step::Write(self.batch()),
        }
    }

    fn fault(&mut self) -> Step {
        let of = if self.random.one_in(2) { None } else { Some(self.random.pick(&OPERATIONS)) };
        let patterns = [None, None, Some("wal*"), Some("MANIFEST*"), Some("*.db")];
        Step::Fault(FaultRule {
            failure: self.random.pick(&FAILURES),
            of,
            on: self.random.pick(&patterns).map(str::to_owned),
            after: if self.random.one_in(2) { 0 } else { self.random.below(20) },
            times: if self.random.one_in(3) { None } else { Some(1) },
        })
    }

    /// Wrong bytes are read from tables only: what the log and the manifest must
    /// make of them is a question of where exactly they are wrong, and has its
    /// own test (`rot`). What the device cannot read at all it says.
    fn device_fault(&mut self) -> Step {
        let neighbour = self.random.pick(&NEIGHBOURS).to_owned();
        let there = self.random.below(12);
        let any = self.random.pick(&["*.db", "wal*", "MANIFEST*", "*"]);
        let (effect, on) = match self.random.below(8) {
            0 => (DeviceEffect::LostWrite, any),
            1 => (DeviceEffect::LostWrite, "*.db"),
            2 => (DeviceEffect::MisdirectedWrite(neighbour, there), any),
            3 => (DeviceEffect::MisdirectedRead(neighbour, there), "*.db"),
            4..6 => (DeviceEffect::FlippedBits(1 << self.random.below(8)), "*.db"),
            _ => (DeviceEffect::Unreadable, any),
        };
        // Most tables are small, and logs begin behind a header of eight sectors.
        let sector = self.random.below(if on == "*.db" { 3 } else { 16 });
        Step::Device(DeviceRule {
            effect,
            on: on.to_owned(),
            sector,
            sectors: self.random.pick(&[1, 1, 3, 100]),
            after: if self.random.one_in(2) { 0 } else { self.random.below(6) },
            times: if self.random.one_in(2) { None } else { Some(1) },
        })
    }
}
