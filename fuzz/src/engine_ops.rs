//! The engine against a map, with power cuts, kills and failing calls.

use arbitrary::Arbitrary;
use kv_engine::{Durability, Engine, Options, ReadMode, WriteBatch};
use kv_env::{CrashChoice, Failure, Fault, SimDisk, SimOptions};
use kv_sstable::Compression;

use crate::allocation::bounded_by;
use crate::specimen::{self, ENGINE_BYTES, State, contents};

/// A history.
#[derive(Debug, Arbitrary)]
pub struct History {
    is_mapped: bool,
    is_compressed: bool,
    has_stale_bytes: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Write(Vec<(u8, Option<u8>)>, Promise),
    Get(u8),
    Scan,
    Background,
    Flush,
    Compact,
    /// Closes and opens.
    Reopen,
    PowerCut(u16),
    Kill,
    /// The call that is that many calls away fails.
    Fault(u8, Device),
}

#[derive(Debug, Arbitrary)]
enum Promise {
    Sync,
    Interval,
    Os,
}

#[derive(Debug, Arbitrary)]
enum Device {
    Broken,
    Full,
}

/// Steps that one history may have: the ops of the disk are kept.
const MAX_STEPS: usize = 60;

/// What a step may add for good: the simulated disk keeps every change and the
/// files of each crash, the model a copy of its state for each batch.
const STEP_BYTES: usize = 1 << 20;

/// Plays a history.
pub fn run(history: &History) {
    bounded_by(ENGINE_BYTES + MAX_STEPS * STEP_BYTES, || {
        let mut world = World::new(history);
        for step in history.steps.iter().take(MAX_STEPS) {
            world.play(step);
        }
        world.power_cut(CrashChoice::None);
        assert_eq!(world.disk.violations(), Vec::<String>::new());
    });
}

struct World {
    disk: SimDisk,
    options: Options,
    engine: Engine,
    /// The state after each batch.
    states: Vec<State>,
    /// How many batches are durable for certain.
    durable: usize,
}

impl World {
    fn new(history: &History) -> World {
        let mut options = specimen::options();
        options.read_mode = if history.is_mapped { ReadMode::Map } else { ReadMode::Pread };
        if history.is_compressed {
            options.table.compression = Compression::Lz4;
        }
        let sim = SimOptions { stale_bytes: history.has_stale_bytes, ..SimOptions::default() };
        let disk = SimDisk::with_options(5, sim);
        let engine = open(&disk, &options);
        World { disk, options, engine, states: vec![State::new()], durable: 0 }
    }

    fn state(&self) -> &State {
        self.states.last().expect("there is a first state")
    }

    fn play(&mut self, step: &Step) {
        let failed = match step {
            Step::Write(changes, promise) => self.write(changes, promise).is_err(),
            Step::Get(number) => {
                if let Ok(found) = self.engine.get(&key(*number)) {
                    assert_eq!(found.as_deref(), self.state().get(&key(*number)).map(|v| &v[..]));
                }
                false
            }
            Step::Scan => {
                if let Ok(found) = contents(&self.engine) {
                    assert_eq!(found, *self.state());
                }
                false
            }
            Step::Background => self.engine.run_background_step().is_err(),
            Step::Flush => self.sync_all(|engine| engine.flush()),
            Step::Compact => self.engine.compact().is_err(),
            Step::Reopen => {
                let failed = self.sync_all(|engine| engine.close());
                if !failed {
                    self.reopen(self.disk.clone());
                }
                failed
            }
            Step::PowerCut(choice) => {
                self.power_cut(CrashChoice::Seeded(u64::from(*choice)));
                false
            }
            Step::Kill => {
                self.kill();
                false
            }
            Step::Fault(calls, device) => {
                let failure = match device {
                    Device::Broken => Failure::Device,
                    Device::Full => Failure::NoSpace,
                };
                self.disk.inject(Fault::new(failure).after(u64::from(*calls)).times(1));
                false
            }
        };
        if failed {
            // After an error of the device: whatever it left, as a kill shows it.
            self.kill();
        }
    }

    fn write(&mut self, changes: &[(u8, Option<u8>)], promise: &Promise) -> kv_engine::Result<()> {
        let mut state = self.state().clone();
        let mut batch = WriteBatch::new();
        // Tells the states apart.
        let number = (self.states.len() as u32).to_be_bytes();
        batch.put(b"batch", &number)?;
        state.insert(b"batch".to_vec(), number.to_vec());
        for (number, len) in changes.iter().take(8) {
            match len {
                Some(len) => {
                    let value = vec![self.states.len() as u8; 3 * usize::from(*len)];
                    batch.put(&key(*number), &value)?;
                    state.insert(key(*number), value);
                }
                None => {
                    batch.delete(&key(*number))?;
                    state.remove(&key(*number));
                }
            }
        }
        let durability = match promise {
            Promise::Sync => Durability::Sync,
            Promise::Interval => Durability::Interval,
            Promise::Os => Durability::Os,
        };
        // A batch whose write fails may be there after the next open.
        self.states.push(state);
        self.engine.write(batch, durability)?;
        if durability == Durability::Sync {
            self.durable = self.states.len() - 1;
        }
        Ok(())
    }

    /// Does what makes all writes durable if it succeeds; true if it fails.
    fn sync_all(&mut self, act: impl FnOnce(&Engine) -> kv_engine::Result<()>) -> bool {
        if act(&self.engine).is_err() {
            return true;
        }
        self.durable = self.states.len() - 1;
        false
    }

    fn power_cut(&mut self, choice: CrashChoice) {
        self.reopen(self.disk.crash(choice));
    }

    fn kill(&mut self) {
        self.reopen(self.disk.kill(self.disk.op_count()));
    }

    /// Opens what is left and finds out how many batches that is.
    fn reopen(&mut self, disk: SimDisk) {
        disk.clear_faults();
        self.engine = open(&disk, &self.options);
        self.disk = disk;
        let found = contents(&self.engine).expect("the disk works again");
        let last = self.states.iter().rposition(|state| *state == found);
        let last = last.expect("a state between two batches");
        assert!(last >= self.durable, "{} batches of {} are left", last, self.durable);
        self.states.truncate(last + 1);
        self.durable = last;
    }
}

fn open(disk: &SimDisk, options: &Options) -> Engine {
    Engine::open_in(disk.env(), options.clone()).expect("what crashes leave opens")
}

fn key(number: u8) -> Vec<u8> {
    format!("key{}", number % 12).into_bytes()
}
