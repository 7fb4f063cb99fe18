//! Random histories against a `BTreeMap`, at sizes where every few writes
//! freeze, flush and compact, with crashes and reopenings in between.

use std::collections::BTreeMap;

use kv_engine::{
    Compression, Durability, Engine, FlushSize, KeyRange, Options, ReadMode, Snapshot,
    TableOptions, WriteBatch,
};
use kv_env::{CrashChoice, SimDisk};
use proptest::prelude::*;

use crate::support::{contents, open, settle, tiny};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Clone)]
enum Step {
    /// One batch: keys, and a value length for a put.
    Write(Vec<(u8, Option<u16>)>, Durability),
    Get(u8),
    Range(u8, u8, bool),
    Snapshot,
    CheckSnapshots,
    Background,
    Settle,
    Flush,
    Compact,
    Reopen,
    Crash(u64),
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let change = (0..24u8, prop::option::weighted(0.75, prop_oneof![0..40u16, 0..6000u16]));
    let durability =
        prop_oneof![Just(Durability::Sync), Just(Durability::Interval), Just(Durability::Os)];
    prop_oneof![
        20 => (prop::collection::vec(change, 0..6), durability)
            .prop_map(|(changes, durability)| Step::Write(changes, durability)),
        6 => (0..26u8).prop_map(Step::Get),
        3 => (0..26u8, 0..26u8, any::<bool>()).prop_map(|(a, b, back)| Step::Range(a, b, back)),
        1 => Just(Step::Snapshot),
        1 => Just(Step::CheckSnapshots),
        5 => Just(Step::Background),
        1 => Just(Step::Settle),
        1 => Just(Step::Flush),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
        1 => any::<u64>().prop_map(Step::Crash),
        1 => Just(Step::Kill),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let table = (prop_oneof![Just(64usize), Just(4096)], any::<bool>()).prop_map(|(block, lz4)| {
        let compression = if lz4 { Compression::Lz4 } else { Compression::None };
        TableOptions { block_bytes: block, compression, ..TableOptions::default() }
    });
    (1..20u64, 2..4usize, any::<bool>(), table).prop_map(|(entries, threshold, map, table)| {
        Options {
            memtable_flush_size: FlushSize::Entries(entries),
            compaction_sstable_threshold: threshold,
            read_mode: if map { ReadMode::Map } else { ReadMode::Pread },
            table,
            ..tiny()
        }
    })
}

struct World {
    disk: SimDisk,
    options: Options,
    engine: Engine,
    /// The state after each number of batches.
    states: Vec<State>,
    /// How many batches are durable for certain.
    durable: usize,
    snapshots: Vec<(Snapshot, State)>,
}

fn key(number: u8) -> Vec<u8> {
    format!("key{}", number / 3).repeat(1 + number as usize % 3).into_bytes()
}

impl World {
    fn new(options: Options) -> World {
        let disk = SimDisk::new(42);
        let engine = open(&disk, options.clone());
        let states = vec![State::new()];
        World { disk, options, engine, states, durable: 0, snapshots: Vec::new() }
    }

    fn state(&self) -> &State {
        self.states.last().expect("there is a first state")
    }

    fn write(&mut self, changes: &[(u8, Option<u16>)], durability: Durability) {
        let mut state = self.state().clone();
        let mut batch = WriteBatch::new();
        let number = self.states.len();
        // Tells the states apart after a crash.
        batch.put(b"batch", &number.to_be_bytes()).unwrap();
        state.insert(b"batch".to_vec(), number.to_be_bytes().to_vec());
        for &(number, len) in changes {
            match len {
                Some(len) => {
                    let value: Vec<u8> =
                        (0..len).map(|at| (at % 7) as u8 ^ self.states.len() as u8).collect();
                    batch.put(&key(number), &value).unwrap();
                    state.insert(key(number), value);
                }
                None => {
                    batch.delete(&key(number)).unwrap();
                    state.remove(&key(number));
                }
            }
        }
        self.engine.write(batch, durability).unwrap();
        self.states.push(state);
        if durability == Durability::Sync {
            self.durable = self.states.len() - 1;
        }
    }

    /// Opens what is left on `disk` and finds out which state it is.
    fn restart(&mut self, disk: SimDisk, at_least: usize) {
        self.snapshots.clear();
        self.disk = disk;
        self.engine = open(&self.disk, self.options.clone());
        let number =
            self.engine.get(b"batch").unwrap().map_or(0, |value| {
                usize::from_be_bytes((*value).try_into().expect("a batch number"))
            });
        assert!(number >= at_least, "batch {number} is the last of {at_least} durable ones");
        self.states.truncate(number + 1);
        self.durable = number;
        self.check();
    }

    fn check(&self) {
        let expected: Vec<(Vec<u8>, Vec<u8>)> =
            self.state().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        assert_eq!(contents(&self.engine), expected);
        assert_eq!(self.disk.violations(), Vec::<String>::new());
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Write(changes, durability) => self.write(changes, *durability),
            Step::Get(number) => {
                let found = self.engine.get(&key(*number)).unwrap().map(|value| value.to_vec());
                assert_eq!(found.as_ref(), self.state().get(&key(*number)));
            }
            Step::Range(a, b, backwards) => self.check_range(&key(*a), &key(*b), *backwards),
            Step::Snapshot => {
                self.snapshots.push((self.engine.snapshot(), self.state().clone()));
            }
            Step::CheckSnapshots => self.check_snapshots(),
            Step::Background => {
                self.engine.run_background_step().unwrap();
            }
            Step::Settle => settle(&self.engine),
            Step::Flush => {
                self.engine.flush().unwrap();
                self.durable = self.states.len() - 1;
            }
            Step::Compact => {
                self.engine.compact().unwrap();
                self.engine.verify().unwrap();
                self.durable = self.states.len() - 1;
            }
            Step::Reopen => {
                self.engine.close().unwrap();
                let disk = self.disk.clone();
                self.restart(disk, self.states.len() - 1);
            }
            Step::Crash(seed) => {
                let disk = self.disk.crash(CrashChoice::Seeded(*seed));
                self.restart(disk, self.durable);
            }
            Step::Kill => {
                let disk = self.disk.kill(self.disk.op_count());
                self.restart(disk, self.states.len() - 1);
            }
        }
    }

    fn check_range(&self, a: &[u8], b: &[u8], backwards: bool) {
        let (from, to) = if a <= b { (a, b) } else { (b, a) };
        let expected: Vec<Vec<u8>> =
            self.state().range(from.to_vec()..to.to_vec()).map(|(key, _)| key.clone()).collect();
        let mut scan = self.engine.scan(KeyRange::from_bounds(from..to)).unwrap();
        if backwards {
            scan = scan.reverse();
        }
        let mut found: Vec<Vec<u8>> = scan.map(|entry| entry.unwrap().0).collect();
        if backwards {
            found.reverse();
        }
        assert_eq!(found, expected);
    }

    fn check_snapshots(&self) {
        for (snapshot, state) in &self.snapshots {
            let found: State = snapshot
                .scan(KeyRange::all())
                .map(|entry| entry.unwrap())
                .map(|(key, value)| (key, value.to_vec()))
                .collect();
            assert_eq!(&found, state);
            for number in 0..26 {
                let found = snapshot.get(&key(number)).unwrap().map(|value| value.to_vec());
                assert_eq!(found.as_ref(), state.get(&key(number)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_behaves_like_a_map(
        options in options(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(options);
        for step in &steps {
            world.run(step);
        }
        world.check();
        world.check_snapshots();
    }
}
