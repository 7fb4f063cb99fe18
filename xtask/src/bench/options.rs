//! What to measure and how much of it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kv_engine::Durability;
use serde::Serialize;

use super::dataset::{MIN_KEY_BYTES, MIN_VALUE_BYTES};
use crate::failure::{Failure, Outcome};

/// Options of the benchmark.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct BenchOptions {
    /// What to run, in the order given; everything if nothing is named
    #[arg(value_enum)]
    pub(crate) workloads: Vec<Workload>,
    /// Entries that the fills write and that the other workloads work on
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) count: u64,
    /// Size of a key, in bytes
    #[arg(long, default_value_t = 20)]
    pub(crate) key_bytes: usize,
    /// Size of a value, in bytes; half of each is compressible
    #[arg(long, default_value_t = 100)]
    pub(crate) value_bytes: usize,
    /// Threads of the fills, reads and overwrites
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Numbers of writers of the durable workload
    #[arg(long, value_delimiter = ',', default_value = "1,4,20,64")]
    pub(crate) writers: Vec<usize>,
    /// When fills and overwrites are acknowledged; durable always syncs
    #[arg(long, value_enum, default_value = "os")]
    pub(crate) durability: DurabilityChoice,
    /// Longest time of one workload other than the fills, in seconds
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
    /// Directory for the databases; by default one below `target`
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// File for the results; by default `results.json` below `target/bench`
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Directory for the SVG plots; by default beside the results
    #[arg(long, value_name = "DIR")]
    pub(crate) plots: Option<PathBuf>,
}

/// Something to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub(crate) enum Workload {
    /// Puts of rising keys into an empty database
    FillSeq,
    /// Puts of keys in random order into an empty database
    FillRandom,
    /// Puts that are each acknowledged after fdatasync, by 1, 4, 20, 64 writers
    Durable,
    /// Gets of keys that exist
    ReadRandom,
    /// Gets of keys that do not exist
    ReadMissing,
    /// Gets beside one writer that overwrites as fast as it can
    ReadWhileWriting,
    /// The whole database in order, and seeks with 100 entries each
    Scan,
    /// Puts of keys that exist
    Overwrite,
    /// Opening after an orderly close and after a killed process
    Reopen,
}

/// The engine's durabilities, as the command line names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DurabilityChoice {
    /// After fdatasync: survives a power cut
    Sync,
    /// Once the operating system has it; synced every few milliseconds
    Interval,
    /// Once the operating system has it: survives a killed process
    Os,
}

impl From<DurabilityChoice> for Durability {
    fn from(choice: DurabilityChoice) -> Durability {
        match choice {
            DurabilityChoice::Sync => Durability::Sync,
            DurabilityChoice::Interval => Durability::Interval,
            DurabilityChoice::Os => Durability::Os,
        }
    }
}

impl BenchOptions {
    /// Refuses sizes that nothing can be measured with.
    pub(crate) fn validate(&self) -> Outcome {
        let refusals = [
            (self.key_bytes < MIN_KEY_BYTES, format!("--key-bytes is at least {MIN_KEY_BYTES}")),
            (
                self.key_bytes > kv_core::MAX_KEY_BYTES,
                "--key-bytes is over the engine's limit".into(),
            ),
            (
                self.value_bytes < MIN_VALUE_BYTES,
                format!("--value-bytes is at least {MIN_VALUE_BYTES}"),
            ),
            (self.value_bytes > 1 << 20, "--value-bytes is at most 1048576".into()),
            (
                self.threads == 0 || self.writers.contains(&0),
                "threads and writers are at least 1".into(),
            ),
            (self.count < 1000, "--count is at least 1000".into()),
            (self.seconds == 0, "--seconds is at least 1".into()),
        ];
        match refusals.into_iter().find(|(wrong, _)| *wrong) {
            Some((_, sentence)) => Err(Failure::usage(sentence)),
            None => Ok(()),
        }
    }

    /// What was named, or everything.
    pub(crate) fn chosen(&self) -> Vec<Workload> {
        if self.workloads.is_empty() {
            Workload::value_variants().to_vec()
        } else {
            self.workloads.clone()
        }
    }
}
