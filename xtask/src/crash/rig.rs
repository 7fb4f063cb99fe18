//! What every experiment shares: the server with its changing options, the
//! writers, the oracle, and what is kept when something is wrong.
#![allow(clippy::disallowed_methods, reason = "a tool writes its own files and measures time")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde_json::{Value, json};

use super::load::{self, LoadEnd, Moment};
use super::oracle::Oracle;
use super::random::Random;
use super::request::Event;
use super::writer::Writer;
use crate::failure::{Context, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::server_process::{Server, ServerPlan};

/// Clients that write at the same time.
const CLIENTS: usize = 4;
/// The longest wait behind the last counted reply, in microseconds: a few
/// commit groups.
const MAX_DELAY_US: u64 = 3000;

/// The server and the settings of one sub-command.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) binary: PathBuf,
    pub(crate) seed: u64,
    pub(crate) interrupt: Interrupt,
}

/// A database under test.
pub(crate) struct Rig {
    pub(crate) setting: Setting,
    pub(crate) random: Random,
    pub(crate) oracle: Oracle,
    writers: Vec<Writer>,
    clock: Arc<AtomicU64>,
    config: PathBuf,
    /// The options of the present life, for the report.
    options: String,
    /// Cycles that are over, each checked.
    pub(crate) cycles: u64,
}

/// Which promises the options may weaken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durabilities {
    /// Survives a power cut.
    Sync,
    /// Survives a killed process.
    Any,
    /// Never syncs before a memory table is full: for negative controls.
    Os,
}

impl Rig {
    /// `directory` takes the configuration; it outlives the data.
    pub(crate) fn new(setting: &Setting, directory: &Path, label: u64) -> Rig {
        let random = Random::new(setting.seed).fork(label);
        let writers = (0..CLIENTS).map(|index| Writer::new(index, CLIENTS, &random)).collect();
        Rig {
            setting: setting.clone(),
            oracle: Oracle::new(CLIENTS),
            writers,
            clock: Arc::new(AtomicU64::new(1)),
            config: directory.join("config.json"),
            options: String::new(),
            cycles: 0,
            random,
        }
    }

    /// Starts a server on the data with newly drawn options.
    pub(crate) fn start(&mut self, data_dir: &Path, allowed: Durabilities) -> Outcome<Server> {
        let plan = self.plan(data_dir, allowed)?;
        Server::start(&plan, &self.setting.interrupt)
    }

    /// Newly drawn options, written to the configuration file.
    pub(crate) fn plan(&mut self, data_dir: &Path, allowed: Durabilities) -> Outcome<ServerPlan> {
        let random = &mut self.random;
        // Small, so that flushes and compactions run all the time.
        let flush_sizes = [json!(20), json!(100), json!("8KiB"), json!("64KiB"), json!("1MiB")];
        let options = json!({
            "memtable_flush_size": flush_sizes[random.below(5) as usize],
            "wal_batch_size": random.pick(&[1, 2, 16, 1024]),
            "wal_flush_interval_ms": random.pick(&[1, 10, 100]),
            "compaction_sstable_threshold": random.pick(&[2, 3, 4, 8]),
            "block_cache_size": random.pick(&["0B", "64KiB", "256MiB"]),
        });
        let durability = match allowed {
            Durabilities::Sync => "sync",
            Durabilities::Os => "os",
            Durabilities::Any => random.pick(&["sync", "sync", "interval", "os"]),
        };
        self.plan_with(&options, durability, data_dir)
    }

    fn plan_with(
        &mut self,
        options: &Value,
        durability: &'static str,
        data_dir: &Path,
    ) -> Outcome<ServerPlan> {
        fs::write(&self.config, options.to_string()).context(self.config.display())?;
        self.options = format!("durability {durability}, {options}");
        Ok(ServerPlan {
            binary: self.setting.binary.clone(),
            config: self.config.clone(),
            data_dir: data_dir.to_path_buf(),
            durability,
        })
    }

    /// The same options every time, so that calls can be counted.
    pub(crate) fn plain_plan(&mut self, data_dir: &Path) -> Outcome<ServerPlan> {
        let options = json!({"memtable_flush_size": "64KiB", "compaction_sstable_threshold": 2});
        self.plan_with(&options, "sync", data_dir)
    }

    /// A moment up to `replies` replies from now, and a little more.
    pub(crate) fn draw_moment(&mut self, replies: u64) -> Moment {
        let delay = Duration::from_micros(self.random.below(MAX_DELAY_US));
        Moment { replies: 1 + self.random.below(replies), delay, replies_after: 0 }
    }

    /// Loads the server and calls `event` at the moment.
    pub(crate) fn load(
        &mut self,
        port: u16,
        moment: Moment,
        event: impl FnOnce() -> Outcome,
    ) -> Outcome<LoadEnd> {
        let interrupt = &self.setting.interrupt;
        load::run(port, &mut self.writers, &self.clock, moment, interrupt, event)
    }

    /// The shared clock, for whoever has to order an event among the requests.
    pub(crate) fn share_clock(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.clock)
    }

    /// Takes replies after `moment` for not given.
    pub(crate) fn forget_after(&mut self, moment: u64) {
        for writer in &mut self.writers {
            writer.events.iter_mut().for_each(|event| event.forget_after(moment));
        }
    }

    /// The requests of the present life, handed out.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        self.writers.iter_mut().flat_map(|writer| writer.events.drain(..)).collect()
    }

    /// A new oracle for the same clients that has seen `events`.
    pub(crate) fn oracle_of(events: Vec<Event>) -> Outcome<Oracle> {
        let mut oracle = Oracle::new(CLIENTS);
        oracle.advance_log(events)?;
        Ok(oracle)
    }

    /// Holds `server` against another oracle, whose figures and log become
    /// those of this rig.
    pub(crate) fn confirm_by(&mut self, mut oracle: Oracle, server: &Server) -> Outcome {
        let outcome = oracle.confirm(&mut server.connect()?);
        oracle.counts.add(self.oracle.counts);
        self.oracle = oracle;
        outcome
    }

    /// The life of the server is over: its requests become history.
    pub(crate) fn advance(&mut self) -> Outcome {
        self.oracle.advance(&mut self.writers)
    }

    /// Reads everything back from a server and fails unless it is right.
    pub(crate) fn confirm(&mut self, server: &Server) -> Outcome {
        self.oracle.confirm(&mut server.connect()?)
    }

    /// As [`confirm`](Rig::confirm), but of a server that may hold something
    /// else after a restart: what is unclear stays unclear.
    pub(crate) fn peek(&mut self, server: &Server) -> Outcome {
        self.oracle.peek(&mut server.connect()?)
    }

    /// Takes over the figures and the last log of another database.
    pub(crate) fn take_over(&mut self, other: Rig) {
        let mut counts = self.oracle.counts;
        counts.add(other.oracle.counts);
        self.oracle = other.oracle;
        self.oracle.counts = counts;
        self.options = other.options;
    }

    /// Writes down what is known about a violation.
    pub(crate) fn write_evidence(&self, directory: &Path, violation: &str) -> Outcome {
        let text = format!(
            "{violation}\nseed {}\noptions of the last life: {}\n\n{}",
            self.setting.seed,
            self.options,
            self.oracle.log_text(),
        );
        let path = directory.join("violation.txt");
        fs::write(&path, text).context(path.display())
    }
}

/// Fails where a load met errors that it should not have met, or did not get
/// to its moment.
pub(crate) fn require_healthy(end: &LoadEnd) -> Outcome {
    match (end.errors.as_slice(), end.reached) {
        ([], true) => Ok(()),
        ([], false) => Err(Failure::check("the writers ended early: no server, no connection")),
        (errors, _) => Err(Failure::check(format!("a healthy server answered errors: {errors:?}"))),
    }
}
