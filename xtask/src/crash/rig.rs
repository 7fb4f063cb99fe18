//! What every experiment shares: the server with its changing options, the
//! writers, the oracle, and what is kept when something is wrong.
#![allow(clippy::disallowed_methods, reason = "a tool writes its own files and measures time")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::load::{Load, LoadEnd, Moment};
use super::oracle::{Oracle, Verdict};
use super::oracle_log::OracleLog;
use super::random::Random;
use super::request::Event;
use super::scratch::Mount;
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
    /// Keep the scratch directories also where nothing was found.
    pub(crate) keep: bool,
}

/// A database under test.
pub(crate) struct Rig {
    pub(crate) setting: Setting,
    pub(crate) random: Random,
    pub(crate) oracle: Oracle,
    log: Arc<OracleLog>,
    writers: Vec<Writer>,
    clock: Arc<AtomicU64>,
    config: PathBuf,
    /// The options of the present life, for the report.
    options: String,
    /// Cycles that are over, each checked.
    pub(crate) cycles: u64,
    /// What is worth a word in the table.
    pub(crate) remarks: Vec<String>,
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
    /// `directory` takes the configuration and the oracle's log; it outlives
    /// the data and is on none of the disks under test.
    pub(crate) fn new(setting: &Setting, directory: &Path, label: u64) -> Outcome<Rig> {
        let log = Arc::new(OracleLog::open(directory)?);
        log.note(&format!("a new database, seed {}", setting.seed))?;
        let random = Random::new(setting.seed).fork(label);
        let writers = (0..CLIENTS).map(|index| Writer::new(index, CLIENTS, &random)).collect();
        Ok(Rig {
            setting: setting.clone(),
            oracle: Oracle::new(CLIENTS),
            log,
            writers,
            clock: Arc::new(AtomicU64::new(1)),
            config: directory.join("config.json"),
            options: String::new(),
            cycles: 0,
            remarks: Vec::new(),
            random,
        })
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

    /// These options, written to the configuration file.
    pub(crate) fn plan_with(
        &mut self,
        options: &Value,
        durability: &'static str,
        data_dir: &Path,
    ) -> Outcome<ServerPlan> {
        fs::write(&self.config, options.to_string()).context(self.config.display())?;
        self.options = format!("durability {durability}, {options}");
        self.log.note(&format!("a server with {}", self.options))?;
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
        let replies = 1 + self.random.below(replies);
        Moment { replies, at_latest: None, delay, replies_after: 0 }
    }

    /// Loads the server and calls `event` at the moment.
    pub(crate) fn load(
        &mut self,
        port: u16,
        moment: Moment,
        event: impl FnOnce() -> Outcome,
    ) -> Outcome<LoadEnd> {
        let Rig { writers, clock, log, setting, .. } = self;
        let load = Load { port, writers, clock, log, interrupt: &setting.interrupt };
        load.run(moment, || {
            event()?;
            log.note("what was to happen has happened")
        })
    }

    /// The shared clock, for whoever has to order an event among the requests.
    pub(crate) fn share_clock(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.clock)
    }

    /// The log, for whoever asks the server without a load.
    pub(crate) fn share_log(&self) -> Arc<OracleLog> {
        Arc::clone(&self.log)
    }

    /// Takes replies after `moment` for not given: then happened what the load was
    /// for. Fails where the load did not get that far, or where there were errors
    /// before, when nothing was wrong.
    pub(crate) fn end_promises(&mut self, end: &LoadEnd, moment: u64) -> Outcome {
        require_reached(end)?;
        let events = self.writers.iter().flat_map(|writer| &writer.events);
        let mut before = events.filter(|event| event.answered <= moment);
        if let Some(text) = before.find_map(Event::error) {
            return Err(Failure::check(format!("a healthy server answered an error: {text:?}")));
        }
        self.log.note(&format!("replies after moment {moment} promise nothing"))?;
        for writer in &mut self.writers {
            writer.events.iter_mut().for_each(|event| event.forget_after(moment));
        }
        Ok(())
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
    pub(crate) fn judge_by(&mut self, mut oracle: Oracle, server: &Server) -> Outcome<Verdict> {
        let verdict = oracle.judge(&mut server.connect()?);
        oracle.counts.add(self.oracle.counts);
        self.oracle = oracle;
        verdict
    }

    /// The life of the server is over: its requests become history.
    pub(crate) fn advance(&mut self) -> Outcome {
        self.log.note("the end of this life")?;
        self.oracle.advance(&mut self.writers)
    }

    /// Starts a server on a mounted disk, where whatever happened before must not
    /// have cost anything, and reads everything back.
    pub(crate) fn open_and_confirm(&mut self, disk: &Mount) -> Outcome<Server> {
        let server = self.start(&disk.point().join("data"), Durabilities::Sync)?;
        self.confirm(&server)?;
        Ok(server)
    }

    /// Reads everything back from a server and fails unless it is right.
    pub(crate) fn confirm(&mut self, server: &Server) -> Outcome {
        self.judge(server)?.into_outcome()
    }

    /// As [`confirm`](Rig::confirm), for those who hope for a loss.
    pub(crate) fn judge(&mut self, server: &Server) -> Outcome<Verdict> {
        self.oracle.judge(&mut server.connect()?)
    }

    /// Reads every key of a server whose life is not over: these reads are
    /// part of its history, and [`advance`](Rig::advance) judges them.
    pub(crate) fn observe(&mut self, server: &Server) -> Outcome {
        let moment = self.clock.fetch_add(2, Ordering::SeqCst);
        let events = self.oracle.observe(&mut server.connect()?, CLIENTS, moment)?;
        self.log.issued(&events)?;
        for event in &events {
            self.log.answered(event)?;
        }
        // Whoever takes the events orders them by their moments.
        self.writers[0].events.extend(events);
        Ok(())
    }

    /// Carries out a part with a new database, whose figures and log become those
    /// of this rig, whatever came of it.
    pub(crate) fn with_new_database<T>(
        &mut self,
        directory: &Path,
        label: u64,
        part: impl FnOnce(&mut Rig) -> Outcome<T>,
    ) -> Outcome<T> {
        let mut fresh = Rig::new(&self.setting, directory, label)?;
        let outcome = part(&mut fresh);
        let mut counts = self.oracle.counts;
        counts.add(fresh.oracle.counts);
        self.oracle = fresh.oracle;
        self.oracle.counts = counts;
        self.options = fresh.options;
        outcome
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

/// Fails where a load did not get to its moment: what then happens, happens to
/// an idle server. Errors may be in order behind the moment.
pub(crate) fn require_reached(end: &LoadEnd) -> Outcome {
    if end.reached { Ok(()) } else { require_healthy(end) }
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Event, LoadEnd, Rig, Setting};
    use crate::crash::request::{Answer, Request, Verb};
    use crate::interrupt::Interrupt;

    fn event(answered: u64, answer: Answer) -> Event {
        let request = Request { verb: Verb::Set, keys: vec!["c0:r:1".into()], number: 4 };
        Event { client: 0, request, invoked: 1, answered, answer }
    }

    /// What comes of promises that end at moment 5, after these events of a load that
    /// got there or did not.
    fn end_promises(events: Vec<Event>, reached: bool) -> Result<Vec<Event>, String> {
        let directory = tempfile::tempdir().unwrap();
        let (binary, interrupt) = (PathBuf::new(), Interrupt::install().unwrap());
        let setting = Setting { binary, seed: 1, interrupt, keep: false };
        let mut rig = Rig::new(&setting, directory.path(), 0).unwrap();
        rig.writers[0].events = events;
        let end = LoadEnd { errors: Vec::new(), reached };
        let outcome = rig.end_promises(&end, 5).map_err(|failure| failure.message);
        outcome.map(|()| rig.take_events())
    }

    #[test]
    fn errors_behind_the_moment_are_forgotten_and_those_before_it_are_violations() {
        let unclear = |answered| event(answered, Answer::Unclear("MISCONF".into()));
        let refused = |answered| event(answered, Answer::Refused("BUSY".into()));
        let events = vec![event(3, Answer::Done(vec![])), unclear(6), refused(9)];
        let forgotten = end_promises(events, true);
        let answers: Vec<Answer> =
            forgotten.unwrap().into_iter().map(|event| event.answer).collect();
        assert_eq!(answers, [Answer::Done(vec![]), Answer::None, Answer::None]);
        assert!(end_promises(vec![unclear(4)], true).unwrap_err().contains("MISCONF"));
        assert!(end_promises(vec![refused(5), unclear(6)], true).unwrap_err().contains("BUSY"));
    }

    #[test]
    fn a_load_that_ended_before_its_moment_proves_nothing() {
        assert!(end_promises(vec![event(3, Answer::None)], false).is_err());
    }
}
