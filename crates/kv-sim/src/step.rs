//! The steps that a history is made of: plain data, one line each in a script.

use kv_engine::Durability;
use kv_env::CrashChoice;
use serde::{Deserialize, Serialize};

use crate::trouble::{DeviceRule, FaultRule};

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
    /// Makes the device itself go wrong from here on, mostly without an error.
    Device(DeviceRule),
    /// Takes back all faults and the limit of the disk. What a device has
    /// stored wrongly stays wrong.
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
    /// What the disk keeps of the unsynced changes.
    pub keeps: CrashChoice,
}
