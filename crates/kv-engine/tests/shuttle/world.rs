//! An engine under the scheduler, and what its callers have seen of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kv_engine::{
    Background, Durability, Engine, FlushSize, KeyRange, Options, Result, SeqNo, WriteBatch,
};
use kv_env::{CrashChoice, SimDisk};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::mpsc;

use crate::ports::{Hook, ports};

/// A key that every batch writes, to the batch's own name.
const NEWEST: &[u8] = b"newest";

/// Writes of one batch: its name, and the newest.
const WRITES_PER_BATCH: u64 = 2;

/// Power cuts to look at in each schedule, of all that callers may complain of.
const IMAGES: usize = 2;

/// A few writes already freeze, flush and compact; threads as in real life.
pub(crate) fn tiny() -> Options {
    Options {
        memtable_flush_size: FlushSize::Entries(6),
        compaction_sstable_threshold: 2,
        background: Background::Threads,
        block_cache_bytes: 1 << 16,
        // One more thread that waits for time multiplies the orders, and the
        // scrub meets no other thread.
        scrub_bytes_per_second: 0,
        ..Options::default()
    }
}

/// A memory table that is never full.
pub(crate) fn roomy() -> Options {
    Options { memtable_flush_size: FlushSize::Entries(1000), ..tiny() }
}

/// How a caller writes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Call {
    Write(Durability),
    Submit(Durability),
}

/// A batch that was answered `Ok`.
#[derive(Debug, Clone)]
struct Acknowledged {
    name: String,
    seqno: SeqNo,
    /// The disk's op count at the answer.
    op: u64,
    /// Acknowledged as durable.
    is_synced: bool,
}

/// What happened so far. Its locks are never held where threads are switched.
#[derive(Debug, Default)]
struct Seen {
    acknowledged: Vec<Acknowledged>,
    /// Names of batches that were begun, and whether they asked for a sync.
    begun: BTreeMap<String, bool>,
    /// Reads of batches: the disk's op count when they returned.
    read: Vec<(String, u64)>,
}

/// An engine on a simulated disk, shared by the threads of a test.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) engine: Engine,
    seen: Arc<Mutex<Seen>>,
}

impl World {
    pub(crate) fn new(options: Options) -> World {
        World::with_hook(options, Arc::new(|_, _| Ok(())))
    }

    /// A world in which `hook` is told of appends and syncs.
    pub(crate) fn with_hook(options: Options, hook: Hook) -> World {
        let disk = SimDisk::new(7);
        let engine = Engine::open_in(ports(&disk, hook), options).unwrap();
        World { disk, engine, seen: Arc::default() }
    }

    /// Runs `body` in a thread of its own.
    pub(crate) fn spawn(
        &self,
        body: impl FnOnce(&World) + Send + 'static,
    ) -> shuttle::thread::JoinHandle<()> {
        self.spawn_as("caller", body)
    }

    /// Runs `body` in a thread of that name.
    pub(crate) fn spawn_as(
        &self,
        name: &str,
        body: impl FnOnce(&World) + Send + 'static,
    ) -> shuttle::thread::JoinHandle<()> {
        let world = self.clone();
        let builder = shuttle::thread::Builder::new().name(name.to_owned());
        builder.spawn(move || body(&world)).unwrap()
    }

    /// Writes batch `name` and waits for the answer.
    pub(crate) fn write(&self, name: &str, call: Call) -> Result<SeqNo> {
        self.commit(name, batch_named(name), call)
    }

    /// Has `batch`, which leaves `name` behind, committed. The answer is noted
    /// where it is given, before anything else can happen.
    pub(crate) fn commit(&self, name: &str, batch: WriteBatch, call: Call) -> Result<SeqNo> {
        match call {
            Call::Write(durability) => {
                let note = self.note(name, durability);
                let outcome = self.engine.write(batch, durability);
                note(&outcome);
                outcome
            }
            Call::Submit(durability) => {
                let answered = self.submit(name, batch, durability);
                let outcome = answered.recv().unwrap();
                assert!(answered.recv().is_err(), "one answer, then the sender is gone");
                outcome
            }
        }
    }

    /// Submits `batch`, which leaves `name` behind, and does not wait for the answer.
    pub(crate) fn submit(
        &self,
        name: &str,
        batch: WriteBatch,
        durability: Durability,
    ) -> mpsc::Receiver<Result<SeqNo>> {
        let note = self.note(name, durability);
        let (answer, answered) = mpsc::channel();
        self.engine.submit(batch, durability, move |outcome| {
            note(&outcome);
            answer.send(outcome).unwrap();
        });
        answered
    }

    /// Notes that batch `name` was begun; what is to be called with its outcome.
    fn note(
        &self,
        name: &str,
        durability: Durability,
    ) -> impl FnOnce(&Result<SeqNo>) + Send + 'static {
        let is_synced = durability == Durability::Sync;
        self.seen.lock().unwrap().begun.insert(name.to_owned(), is_synced);
        let (world, name) = (self.clone_without_engine(), name.to_owned());
        move |outcome| {
            if let Ok(seqno) = *outcome {
                let acknowledged = Acknowledged { name, seqno, op: world.0.op_count(), is_synced };
                world.1.lock().unwrap().acknowledged.push(acknowledged);
            }
        }
    }

    /// A callback must not keep the engine open.
    fn clone_without_engine(&self) -> (SimDisk, Arc<Mutex<Seen>>) {
        (self.disk.clone(), Arc::clone(&self.seen))
    }

    /// Looks for batches as a reader does; the snapshot's number, for callers
    /// that compare it with the one before.
    pub(crate) fn read(&self, last: SeqNo) -> SeqNo {
        let snapshot = self.engine.snapshot();
        assert!(snapshot.seqno() >= last, "what was visible stays visible");
        let names = names(snapshot.scan(KeyRange::all()).map(|entry| entry.unwrap()));
        if let Some(newest) = snapshot.get(NEWEST).unwrap() {
            let newest = String::from_utf8(newest.to_vec()).unwrap();
            assert!(names.contains_key(&newest), "a batch is seen as a whole: {newest} {names:?}");
        }
        let op = self.disk.op_count();
        self.seen.lock().unwrap().read.extend(names.into_keys().map(|name| (name, op)));
        snapshot.seqno()
    }

    /// Closes the engine, and compares what callers have seen with what power
    /// cuts at the moments of seeing would have left.
    pub(crate) fn finish(self) {
        self.engine.close().unwrap();
        self.check();
    }

    /// The checks of [`finish`](World::finish) for an engine that is closed, or
    /// that has failed.
    pub(crate) fn check(&self) {
        assert_eq!(self.disk.violations(), [""; 0]);
        let seen = self.seen.lock().unwrap();
        let mut seqnos: Vec<SeqNo> = seen.acknowledged.iter().map(|ack| ack.seqno).collect();
        seqnos.sort_unstable();
        seqnos.dedup();
        assert_eq!(seqnos.len(), seen.acknowledged.len(), "a number for each batch: {seen:?}");
        let mut moments: Vec<u64> = seen.acknowledged.iter().map(|ack| ack.op).collect();
        moments.extend(seen.read.iter().map(|(_, op)| op));
        moments.sort_unstable();
        moments.dedup();
        for _ in 0..IMAGES.min(moments.len()) {
            let moment = moments.swap_remove(thread_rng().gen_range(0..moments.len()));
            self.check_image(&seen, moment);
        }
        self.check_image(&seen, self.disk.op_count());
    }

    /// What a power cut after `op` ops leaves is a prefix of the batches that
    /// holds all that was acknowledged or read as durable by then.
    fn check_image(&self, seen: &Seen, op: u64) {
        let choice = match thread_rng().gen_range(0..3) {
            0 => CrashChoice::Seeded(thread_rng().gen_range(0..1000)),
            _ => CrashChoice::None,
        };
        let image = self.disk.image(op, choice);
        let found = batches_on(&image);
        let what = || format!("power cut after op {op}, {choice:?}: {found:?}\n{seen:?}");
        for ack in seen.acknowledged.iter().filter(|ack| ack.is_synced && ack.op <= op) {
            assert!(found.contains(&ack.name), "acknowledged: {}\n{}", ack.name, what());
        }
        let synced = |name: &String| seen.begun[name];
        for (name, _) in seen.read.iter().filter(|(name, at)| *at <= op && synced(name)) {
            assert!(found.contains(name), "was read: {name}\n{}", what());
        }
        let newest_found =
            seen.acknowledged.iter().filter(|ack| found.contains(&ack.name)).map(|ack| ack.seqno);
        let Some(newest_found) = newest_found.max() else { return };
        for ack in seen.acknowledged.iter().filter(|ack| ack.seqno < newest_found) {
            assert!(found.contains(&ack.name), "a hole: {}\n{}", ack.name, what());
        }
    }

    /// Writes of batches acknowledged so far.
    pub(crate) fn acknowledged_writes(&self) -> u64 {
        self.seen.lock().unwrap().acknowledged.len() as u64 * WRITES_PER_BATCH
    }
}

/// What batch `name` writes.
pub(crate) fn batch_named(name: &str) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.put(name.as_bytes(), name.as_bytes()).unwrap();
    batch.put(NEWEST, name.as_bytes()).unwrap();
    batch
}

/// Batches by name, in entries of a scan.
fn names(entries: impl Iterator<Item = (Vec<u8>, kv_engine::Value)>) -> BTreeMap<String, Vec<u8>> {
    entries
        .filter(|(key, _)| key != NEWEST)
        .map(|(key, value)| (String::from_utf8(key).unwrap(), value.to_vec()))
        .collect()
}

/// What an open of `disk` finds.
fn batches_on(disk: &SimDisk) -> Vec<String> {
    let options = Options { background: Background::Manual, ..roomy() };
    let engine = Engine::open_in(disk.env(), options).unwrap();
    let newest = engine.get(NEWEST).unwrap().map(|value| value.to_vec());
    let entries = engine.scan(KeyRange::all()).unwrap().map(|entry| entry.unwrap());
    let found: Vec<String> = names(entries).into_keys().collect();
    if let Some(newest) = newest {
        let newest = String::from_utf8(newest).unwrap();
        assert!(found.contains(&newest), "a batch is there as a whole: {newest} {found:?}");
    }
    found
}
