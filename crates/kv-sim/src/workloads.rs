//! The scripted workloads: short histories that between them reach every path
//! of the engine that writes, each under several disks and options.
//!
//! A workload is a row of blocks. The table below pairs rows with settings;
//! that nothing is left out is a test: the kinds of ops that are seen on each
//! kind of file, and the verbs that the engine counts.

use kv_engine::Durability;
use kv_env::{CrashChoice, Failure, Operation};

use crate::random::Random;
use crate::script::Script;
use crate::settings::{MemtableSize, Settings};
use crate::step::{Batch, Change, Cut, Direction, Step};
use crate::trouble::FaultRule;

/// A part of a workload. Each begins where the last one ended, whatever it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    /// Single writes, all synced, mixed, or left to the system.
    Writes(Mix),
    /// A batch over several frames of the log.
    BigBatch,
    /// Values of several sectors.
    BigValues,
    /// Groups of several batches.
    Crowds,
    /// Conditional batches, some of which must fail.
    Updates,
    /// Keys that nothing else overlaps, so that tables can be moved.
    Apart,
    /// Deletes of most keys.
    Deletes,
    Flush,
    Settle,
    Compact,
    CompactRange,
    Reopen,
    /// A process death in the middle of a group.
    Kill,
    /// A torn tail, found and set aside.
    Tear,
    /// A snapshot and an iterator over what follows, until `Release`.
    Hold,
    Release,
    /// A failed sync of the log, then an open.
    FailedSync,
    /// A table that finds the disk full, then an open.
    FullDisk,
}

/// Durabilities of successive writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mix {
    Sync,
    Os,
    Mixed,
}

use Block::{
    Apart, BigBatch, BigValues, Compact, CompactRange, Crowds, Deletes, FailedSync, Flush,
    FullDisk, Hold, Kill, Release, Reopen, Settle, Tear, Updates, Writes,
};

/// Name and blocks of each workload.
const WORKLOADS: [(&str, &[Block]); 25] = [
    ("synced writes", &[Writes(Mix::Sync), Writes(Mix::Sync)]),
    ("unsynced writes", &[Writes(Mix::Os), Writes(Mix::Os)]),
    ("mixed writes", &[Writes(Mix::Mixed), Writes(Mix::Mixed)]),
    ("a big batch", &[Writes(Mix::Sync), BigBatch, Writes(Mix::Mixed)]),
    ("big values", &[BigValues, Settle, BigValues]),
    ("crowds", &[Crowds, Settle, Crowds]),
    ("conditional batches", &[Updates, Settle, Updates]),
    ("flushes", &[Writes(Mix::Mixed), Flush, Writes(Mix::Sync), Flush]),
    ("an empty flush", &[Flush, Writes(Mix::Sync), Flush, Flush]),
    ("compactions", &[Writes(Mix::Mixed), Settle, Writes(Mix::Sync), Compact]),
    ("compactions of a range", &[Writes(Mix::Mixed), Flush, Writes(Mix::Os), CompactRange]),
    ("moved tables", &[Apart, Settle, Apart, Settle]),
    ("deletes to the bottom", &[Writes(Mix::Mixed), Compact, Deletes, Compact, Settle]),
    ("a reopening", &[Writes(Mix::Mixed), Reopen, Writes(Mix::Sync)]),
    ("reopenings with tables", &[Writes(Mix::Sync), Settle, Reopen, Reopen, Compact]),
    ("a reopening of nothing", &[Reopen, Writes(Mix::Os), Reopen]),
    ("a kill", &[Writes(Mix::Os), Kill, Writes(Mix::Sync), Settle]),
    ("kills", &[Writes(Mix::Mixed), Kill, Kill, Reopen, Crowds]),
    ("a torn tail", &[Writes(Mix::Mixed), Tear, Writes(Mix::Sync)]),
    ("torn tails", &[BigValues, Tear, BigValues, Tear, Settle]),
    ("old readers", &[Writes(Mix::Mixed), Hold, Settle, Writes(Mix::Sync), Compact, Release]),
    ("readers over a reopening", &[Writes(Mix::Sync), Hold, Compact, Reopen, Release, Settle]),
    ("a failed sync", &[Writes(Mix::Mixed), FailedSync, Writes(Mix::Sync)]),
    ("a full disk", &[Writes(Mix::Mixed), FullDisk, Writes(Mix::Mixed), Settle]),
    ("everything", &[Writes(Mix::Mixed), Crowds, Hold, Flush, Reopen, Deletes, Compact, Release]),
];

/// Settings of each round over the workloads.
fn rounds() -> [Settings; 6] {
    let base = Settings { memtable: MemtableSize::Entries(6), ..Settings::default() };
    [
        base.clone(),
        Settings { ordered_directory: true, mapped: false, lz4: true, ..base.clone() },
        Settings {
            stale_bytes: true,
            level0_trigger: 3,
            block_bytes: 256,
            manifest_edit_bytes: 0,
            ..base.clone()
        },
        Settings {
            failed_sync_reverts: true,
            short_writes: true,
            mapped: false,
            memtable: MemtableSize::Entries(2),
            manifest_edit_bytes: 400,
            ..base.clone()
        },
        Settings {
            memtable: MemtableSize::Bytes(12 << 10),
            stale_bytes: true,
            lz4: true,
            cache_bytes: 0,
            group_batches: 1,
            ..base.clone()
        },
        Settings {
            memtable: MemtableSize::Entries(40),
            ordered_directory: true,
            failed_sync_reverts: true,
            filter_bits: 0,
            group_batches: 3,
            ..base
        },
    ]
}

/// All scripted workloads: every row of blocks under every setting.
pub fn workloads() -> Vec<Script> {
    let rounds = rounds();
    let mut scripts = Vec::new();
    for (round, settings) in rounds.iter().enumerate() {
        for (number, (name, blocks)) in WORKLOADS.iter().enumerate() {
            let seed = (round * WORKLOADS.len() + number) as u64;
            let mut builder = Builder { random: Random::new(seed), steps: Vec::new() };
            blocks.iter().for_each(|block| builder.add(*block));
            let settings = Settings { seed, ..settings.clone() };
            let about = format!("{name}, round {round}");
            scripts.push(Script { about, settings, steps: builder.steps });
        }
    }
    scripts
}

/// Writes out blocks as steps.
struct Builder {
    random: Random,
    steps: Vec<Step>,
}

impl Builder {
    fn add(&mut self, block: Block) {
        match block {
            Writes(mix) => (0..5).for_each(|number| self.write(mix.of(number), 2, 200)),
            BigBatch => {
                let changes = (0..9).map(|key| Change::Put(key, 1100)).collect();
                self.batch(Durability::Sync, changes, false);
            }
            BigValues => (0..3).for_each(|number| self.write(Mix::Mixed.of(number), 1, 3000)),
            Crowds => {
                let crowd = (0..4).map(|number| Batch {
                    durability: Mix::Mixed.of(number),
                    changes: vec![self.change(300), self.change(20)],
                    bare: false,
                });
                let crowd = crowd.collect();
                self.steps.push(Step::Crowd(crowd));
                self.write(Durability::Os, 1, 20);
            }
            Updates => [false, true, false].into_iter().for_each(|it| self.update(it)),
            Apart => self.apart(),
            Deletes => {
                let changes = (0..8).map(Change::Delete).collect();
                self.batch(Durability::Sync, changes, true);
            }
            Hold => self.steps.extend([Step::Snapshot, Step::Iterate(2)]),
            Tear => {
                self.write(Durability::Os, 2, 1500);
                let keeps = CrashChoice::Seeded(self.random.next());
                self.steps.push(Step::Cut(Cut { ops_back: 0, keeps }));
            }
            Kill => {
                self.write(Durability::Sync, 1, 700);
                self.steps.push(Step::Kill(1));
            }
            FailedSync => self.failing(Failure::Device, Operation::Sync, "wal*"),
            FullDisk => self.failing(Failure::NoSpace, Operation::Append, "*.db"),
            Flush => self.steps.push(Step::Flush),
            Settle => self.steps.push(Step::Settle),
            Compact => self.steps.push(Step::Compact),
            CompactRange => self.steps.push(Step::CompactRange(2, 9)),
            Reopen => self.steps.push(Step::Reopen),
            Release => self.steps.push(Step::Release),
        }
        self.look();
    }

    /// Reads a little, so that scripts are worth running without crashes too.
    fn look(&mut self) {
        let (from, to) = (self.random.below(12) as u16, self.random.below(14) as u16);
        let direction = self.random.pick(&[Direction::Forward, Direction::Backward]);
        self.steps.push(Step::Scan(from, to, direction));
    }

    fn change(&mut self, len: u64) -> Change {
        let key = self.random.below(12) as u16;
        match self.random.one_in(4) {
            true => Change::Delete(key),
            false => Change::Put(key, (len / 2 + self.random.below(len)) as u32),
        }
    }

    fn write(&mut self, durability: Durability, changes: u64, len: u64) {
        let changes = (0..changes).map(|_| self.change(len)).collect();
        self.batch(durability, changes, false);
    }

    fn batch(&mut self, durability: Durability, changes: Vec<Change>, bare: bool) {
        self.steps.push(Step::Write(Batch { durability, changes, bare }));
    }

    fn update(&mut self, disturbed: bool) {
        let batch = Batch {
            durability: Durability::Sync,
            changes: vec![self.change(60), self.change(60)],
            bare: false,
        };
        let key = self.random.below(12) as u16;
        self.steps.push(Step::Update { key, batch, disturbed });
    }

    /// Tables without a key in common, each flushed on its own.
    fn apart(&mut self) {
        for part in 0..2u16 {
            let base = 30 + 6 * part + 20 * self.random.below(3) as u16;
            let changes = (0..3).map(|key| Change::Put(base + key, 90)).collect();
            self.batch(Durability::Sync, changes, true);
            self.steps.push(Step::Flush);
        }
    }

    /// A call fails, whatever comes of it, and the database is opened again.
    fn failing(&mut self, failure: Failure, of: Operation, on: &str) {
        let rule =
            FaultRule { failure, of: Some(of), on: Some(on.into()), after: 0, times: Some(1) };
        self.steps.push(Step::Fault(rule));
        (0..2).for_each(|number| self.write(Mix::Mixed.of(number), 2, 100));
        self.steps.extend([Step::Flush, Step::ClearFaults, Step::Reopen]);
    }
}

impl Mix {
    fn of(self, number: u64) -> Durability {
        match self {
            Mix::Sync => Durability::Sync,
            Mix::Os => Durability::Os,
            Mix::Mixed if number.is_multiple_of(3) => Durability::Sync,
            Mix::Mixed if number % 3 == 1 => Durability::Interval,
            Mix::Mixed => Durability::Os,
        }
    }
}
