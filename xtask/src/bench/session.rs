//! What all workloads share: directories, the loaded database, opening,
//! settling, checking.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use kv_engine::{Durability, Engine, Options};

use super::dataset::{Dataset, KeyOrder, Random};
use super::measure::{self, Measurement, now};
use super::options::BenchOptions;
use super::row::{CostMeter, Row, WriteCost, Written};
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::machine;

/// Entries that are read back and compared after each write workload.
const SAMPLE: u64 = 2000;
/// How often an engine is asked whether its background work is done.
const SETTLE_POLL: Duration = Duration::from_millis(20);
/// Polls without any change after which a tree that still counts debt is
/// taken as settled: two seconds.
const UNCHANGED_POLLS: u32 = 100;

/// A benchmark under way.
pub(crate) struct Session<'a> {
    pub(crate) options: &'a BenchOptions,
    pub(crate) dataset: Dataset,
    pub(crate) interrupt: Interrupt,
    pub(crate) rows: Vec<Row>,
    directory: PathBuf,
    /// The database of the read workloads, once it is loaded.
    loaded: Option<Engine>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        options: &'a BenchOptions,
        directory: &Path,
        interrupt: Interrupt,
    ) -> Session<'a> {
        Session {
            options,
            dataset: Dataset::new(options.key_bytes, options.value_bytes),
            interrupt,
            rows: Vec::new(),
            directory: directory.to_path_buf(),
            loaded: None,
        }
    }

    /// Longest time of one workload.
    pub(crate) fn limit(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.options.seconds))
    }

    /// Where a database called `name` lies.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Opens the database called `name`.
    pub(crate) fn open(&self, name: &str, durability: Durability) -> Outcome<Engine> {
        let options = Options { durability, ..Options::default() };
        Ok(Engine::open(self.path(name), options)?)
    }

    /// Closes a database and removes its files.
    pub(crate) fn discard(&self, name: &str, engine: Engine) -> Outcome {
        engine.close()?;
        drop(engine);
        remove_directory(&self.path(name))
    }

    /// The database of `count` entries in random order, loaded at first use.
    pub(crate) fn loaded(&mut self) -> Outcome<Engine> {
        if let Some(engine) = &self.loaded {
            return Ok(engine.clone());
        }
        println!("loading {} entries …", self.options.count);
        let engine = self.open(LOADED, self.options.durability.into())?;
        self.fill(&engine, KeyOrder::Random)?;
        self.settle(&engine)?;
        self.keep(engine.clone());
        Ok(engine)
    }

    /// Lets later workloads use this database, which lies at [`LOADED`].
    pub(crate) fn keep(&mut self, engine: Engine) {
        self.loaded = Some(engine);
    }

    /// Takes the loaded database away from later workloads.
    pub(crate) fn take_loaded(&mut self) -> Outcome<Engine> {
        let engine = self.loaded()?;
        self.loaded = None;
        Ok(engine)
    }

    /// Removes the loaded database if there is one, to make room for a fill.
    pub(crate) fn discard_loaded(&mut self) -> Outcome {
        match self.loaded.take() {
            Some(engine) => self.discard(LOADED, engine),
            None => Ok(()),
        }
    }

    /// Puts every entry once, each thread its share.
    pub(crate) fn fill(&self, engine: &Engine, order: KeyOrder) -> Outcome<Measurement> {
        let (count, threads) = (self.options.count, self.options.threads as u64);
        measure::run(self.options.threads, None, |thread, recorder| {
            let thread = thread as u64;
            let (mut key, mut value) = (Vec::new(), Vec::new());
            for number in count * thread / threads..count * (thread + 1) / threads {
                self.dataset.key(order, number, &mut key);
                self.dataset.value(number, 0, &mut value);
                engine.put(&key, &value)?;
                recorder.record();
                if number % 1024 == 0 {
                    self.interrupt.check()?;
                }
            }
            Ok(())
        })
    }

    /// Flushes, waits for compaction, and says what the writes have cost.
    pub(crate) fn cost(
        &self,
        name: &str,
        engine: &Engine,
        meter: &CostMeter,
        writes: u64,
        live_entries: u64,
    ) -> Outcome<WriteCost> {
        let started = now();
        self.settle(engine)?;
        let settle_s = started.elapsed().as_secs_f64();
        let entry_bytes = self.dataset.entry_bytes();
        let written = Written {
            user_bytes: writes * entry_bytes,
            live_bytes: live_entries * entry_bytes,
            disk_bytes: machine::disk_bytes(&self.path(name)),
            settle_s,
        };
        meter.finish(engine, written)
    }

    /// Waits until there is nothing left to flush or to compact.
    pub(crate) fn settle(&self, engine: &Engine) -> Outcome {
        engine.flush()?;
        let mut last = engine.stats();
        let mut unchanged = 0;
        while unchanged < UNCHANGED_POLLS {
            self.interrupt.check()?;
            if last.frozen_memtables == 0 && last.compaction_debt_bytes == 0 {
                break;
            }
            // Nobody unparks: a poll of figures has no event to wait for.
            thread::park_timeout(SETTLE_POLL);
            let stats = engine.stats();
            unchanged = if stats == last { unchanged + 1 } else { 0 };
            last = stats;
        }
        Ok(())
    }

    /// Reads a sample of entries `0..count` back and compares them.
    pub(crate) fn verify(&self, engine: &Engine, order: KeyOrder, count: u64) -> Outcome {
        let mut random = Random::new(count);
        let mut key = Vec::new();
        for _ in 0..SAMPLE.min(count) {
            self.verify_one(engine, order, random.below(count), &mut key)?;
        }
        Ok(())
    }

    /// Reads one entry back and compares it.
    pub(crate) fn verify_one(
        &self,
        engine: &Engine,
        order: KeyOrder,
        number: u64,
        key: &mut Vec<u8>,
    ) -> Outcome {
        self.dataset.key(order, number, key);
        let value = engine.get(key)?;
        let right = value.as_ref().is_some_and(|value| self.dataset.belongs(number, value));
        if right {
            return Ok(());
        }
        let key = key.escape_ascii();
        Err(Failure::check(format!("entry {number} ({key}) reads back as {value:?}: figures void")))
    }
}

/// Name of the database that the read workloads share.
pub(crate) const LOADED: &str = "loaded";

#[allow(clippy::disallowed_methods, reason = "a benchmark removes its own directory")]
fn remove_directory(path: &Path) -> Outcome {
    use crate::failure::Context;
    std::fs::remove_dir_all(path).context(path.display())
}
