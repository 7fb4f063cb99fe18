//! The steps that a history is made of: plain data, one line each in a script.

use kv_engine::Durability;
use kv_env::{CrashChoice, Failure, Fault, Operation};
use serde::{Deserialize, Serialize};

/// One thing that is done to the engine or to its disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Commits a batch and waits for its answer.
    Write(Batch),
    /// Submits batches in one go: all are queued before the first is logged,
    /// all are logged before the first is synced.
    Crowd(Vec<Batch>),
    /// Reads a key and commits a batch on condition that it is unchanged. With
    /// `disturbed` another write comes in between, and the batch must fail.
    Update {
        /// The key that is read.
        key: u16,
        /// What is written.
        batch: Batch,
        /// Whether the key is written in between.
        disturbed: bool,
    },
    /// Reads one key.
    Get(u16),
    /// Reads a range of keys, from the first to before the last.
    Scan(u16, u16, Direction),
    /// Takes a snapshot and keeps it.
    Snapshot,
    /// Begins a scan, reads this many entries, and keeps it.
    Iterate(u16),
    /// Compares all that is kept with what it must show, and lets it go.
    Release,
    /// This many steps of background work.
    Background(u32),
    /// Background work until there is none.
    Settle,
    /// `Engine::flush`.
    Flush,
    /// `Engine::compact`, then `Engine::verify`.
    Compact,
    /// `Engine::compact_range`.
    CompactRange(u16, u16),
    /// Closes the engine and opens it again.
    Reopen,
    /// Ends the process without a word, this many ops before the last one, and
    /// opens what it left.
    Kill(u64),
    /// Cuts the power and opens what is left.
    Cut(Cut),
    /// Makes calls fail from here on.
    Fault(FaultRule),
    /// Takes back all faults and the limit of the disk.
    ClearFaults,
    /// Limits the disk to its present contents and this many bytes more.
    Capacity(u64),
}

/// Writes that take effect together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// When it is acknowledged.
    pub durability: Durability,
    /// Its writes. A batch also leaves its number under the key `counter`,
    /// unless it is `bare`.
    pub changes: Vec<Change>,
    /// Without a number.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bare: bool,
}

/// One write of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Key, and length of the value in bytes.
    Put(u16, u32),
    /// Key.
    Delete(u16),
}

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the smallest key.
    Forward,
    /// From the largest key.
    Backward,
}

/// A power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// How many ops before the last one of the steps so far it happens.
    #[serde(default)]
    pub ops_back: u64,
    /// What the disk keeps.
    pub keeps: Keeps,
}

/// Which of the unsynced changes survive a power cut: see [`CrashChoice`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeps {
    /// None of them.
    Nothing,
    /// All of them.
    All,
    /// Only this one.
    Only(usize),
    /// All but this one.
    AllBut(usize),
    /// The first so many.
    Prefix(usize),
    /// Those whose bit is set.
    Mask(u64),
    /// A random part.
    Seeded(u64),
}

impl Keeps {
    pub(crate) fn choice(self) -> CrashChoice {
        match self {
            Keeps::Nothing => CrashChoice::None,
            Keeps::All => CrashChoice::All,
            Keeps::Only(index) => CrashChoice::Only(index),
            Keeps::AllBut(index) => CrashChoice::AllBut(index),
            Keeps::Prefix(len) => CrashChoice::Prefix(len),
            Keeps::Mask(mask) => CrashChoice::Mask(mask),
            Keeps::Seeded(seed) => CrashChoice::Seeded(seed),
        }
    }
}

impl From<CrashChoice> for Keeps {
    fn from(choice: CrashChoice) -> Keeps {
        match choice {
            CrashChoice::None => Keeps::Nothing,
            CrashChoice::All => Keeps::All,
            CrashChoice::Only(index) => Keeps::Only(index),
            CrashChoice::AllBut(index) => Keeps::AllBut(index),
            CrashChoice::Prefix(len) => Keeps::Prefix(len),
            CrashChoice::Mask(mask) => Keeps::Mask(mask),
            CrashChoice::Seeded(seed) => Keeps::Seeded(seed),
        }
    }
}

/// Which calls shall fail, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What they report.
    pub failure: FailureKind,
    /// Only calls of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Call>,
    /// Only files whose name matches; `*` stands for any characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// How many such calls pass first.
    #[serde(default)]
    pub after: u64,
    /// How many fail; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}

/// What a failing call reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "they are those of `kv_env::Failure`")]
pub enum FailureKind {
    Device,
    NoSpace,
    TooManyOpenFiles,
    OutOfMemory,
}

/// The kinds of calls that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "they are those of `kv_env::Operation`")]
pub enum Call {
    Create,
    Open,
    Rename,
    Remove,
    Truncate,
    List,
    SyncDir,
    Append,
    ZeroFill,
    Sync,
    Seal,
    Read,
    Map,
}

impl Call {
    /// All of them.
    pub(crate) const ALL: [Call; 13] = [
        Call::Create,
        Call::Open,
        Call::Rename,
        Call::Remove,
        Call::Truncate,
        Call::List,
        Call::SyncDir,
        Call::Append,
        Call::ZeroFill,
        Call::Sync,
        Call::Seal,
        Call::Read,
        Call::Map,
    ];

    fn operation(self) -> Operation {
        match self {
            Call::Create => Operation::Create,
            Call::Open => Operation::Open,
            Call::Rename => Operation::Rename,
            Call::Remove => Operation::Remove,
            Call::Truncate => Operation::Truncate,
            Call::List => Operation::List,
            Call::SyncDir => Operation::SyncDir,
            Call::Append => Operation::Append,
            Call::ZeroFill => Operation::ZeroFill,
            Call::Sync => Operation::Sync,
            Call::Seal => Operation::Seal,
            Call::Read => Operation::Read,
            Call::Map => Operation::Map,
        }
    }
}

impl FaultRule {
    /// The rule as the simulated disk takes it.
    pub(crate) fn fault(&self) -> Fault {
        let mut fault = Fault::new(match self.failure {
            FailureKind::Device => Failure::Device,
            FailureKind::NoSpace => Failure::NoSpace,
            FailureKind::TooManyOpenFiles => Failure::TooManyOpenFiles,
            FailureKind::OutOfMemory => Failure::OutOfMemory,
        })
        .after(self.after);
        if let Some(call) = self.of {
            fault = fault.of(call.operation());
        }
        if let Some(pattern) = &self.on {
            fault = fault.on(pattern.clone());
        }
        match self.times {
            Some(times) => fault.times(times),
            None => fault,
        }
    }

    /// Whether a sync may fail by it, so that cached bytes may be lost even
    /// without a power cut.
    pub(crate) fn may_fail_syncs(&self) -> bool {
        matches!(self.of, None | Some(Call::Sync | Call::SyncDir | Call::Truncate | Call::Seal))
    }
}
