//! Both backends give the same answers: random calls on a real directory and
//! on a simulated disk, compared one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use kv_core::Error;
use kv_env::{DirLock, Fs, ReadFile, RealFs, SimDisk, SyncHandle, WriteFile};
use proptest::prelude::*;

/// Names that exist, clash, hide in a sub-directory, or lead nowhere.
const NAMES: [&str; 10] =
    ["a", "b", "c", "sub", "sub/a", "sub/b", "a/x", "missing/x", "..", "sub/../a"];

#[derive(Debug, Clone)]
enum Call {
    Create(usize),
    Append(usize, usize, u8),
    ZeroFill(usize, u64),
    Sync(usize),
    TakeHandle(usize),
    SyncHandle(usize),
    Seal(usize),
    DropWriter(usize),
    Open(usize),
    Read(usize, u64, usize),
    Map(usize),
    DropCache(usize),
    Rename(usize, usize),
    Remove(usize),
    Truncate(usize, u64),
    Reserve(usize, u64),
    CreateDir(usize),
    List,
    SyncDir,
    Lock(usize),
    Unlock,
}

fn call() -> impl Strategy<Value = Call> {
    let name = || 0..NAMES.len();
    // Open files have slots of the plain names, which are used most.
    let slot = || 0..4_usize;
    prop_oneof![
        4 => name().prop_map(Call::Create),
        6 => (slot(), 0..2000_usize, any::<u8>()).prop_map(|(slot, len, byte)| Call::Append(slot, len, byte)),
        2 => (slot(), 0..5000_u64).prop_map(|(slot, len)| Call::ZeroFill(slot, len)),
        1 => slot().prop_map(Call::Sync),
        1 => slot().prop_map(Call::TakeHandle),
        1 => slot().prop_map(Call::SyncHandle),
        1 => slot().prop_map(Call::Seal),
        1 => slot().prop_map(Call::DropWriter),
        4 => name().prop_map(Call::Open),
        4 => (slot(), 0..4000_u64, 0..3000_usize).prop_map(|(slot, at, len)| Call::Read(slot, at, len)),
        2 => slot().prop_map(Call::Map),
        1 => slot().prop_map(Call::DropCache),
        3 => (name(), name()).prop_map(|(from, to)| Call::Rename(from, to)),
        2 => name().prop_map(Call::Remove),
        2 => (name(), 0..3000_u64).prop_map(|(name, len)| Call::Truncate(name, len)),
        1 => (name(), 0..6000_u64).prop_map(|(name, len)| Call::Reserve(name, len)),
        1 => name().prop_map(Call::CreateDir),
        2 => Just(Call::List),
        1 => Just(Call::SyncDir),
        1 => name().prop_map(Call::Lock),
        1 => Just(Call::Unlock),
    ]
}

/// A backend with everything that is open on it, by name.
struct World {
    fs: Arc<dyn Fs>,
    writers: BTreeMap<usize, Box<dyn WriteFile>>,
    handles: BTreeMap<usize, Arc<dyn SyncHandle>>,
    readers: BTreeMap<usize, Arc<dyn ReadFile>>,
    lock: Option<Box<dyn DirLock>>,
}

/// What a caller sees of a call. Texts differ between backends, kinds do not.
type Seen = Result<String, String>;

fn kind_of(error: Error) -> String {
    match error {
        Error::Io { operation, source, .. } => format!("{operation}: {:?}", source.kind()),
        Error::InvalidArgument(_) => "InvalidArgument".to_owned(),
        Error::Locked { .. } => "Locked".to_owned(),
        other => format!("{other:?}"),
    }
}

fn text_of(bytes: &[u8]) -> String {
    // Runs, so that a difference can be read.
    let runs = bytes.chunk_by(|left, right| left == right);
    runs.map(|run| format!("{}*{} ", run[0], run.len())).collect()
}

impl World {
    fn new(fs: Arc<dyn Fs>) -> World {
        World {
            fs,
            writers: BTreeMap::new(),
            handles: BTreeMap::new(),
            readers: BTreeMap::new(),
            lock: None,
        }
    }

    fn run(&mut self, call: &Call) -> Seen {
        self.try_run(call).map_err(kind_of)
    }

    fn try_run(&mut self, call: &Call) -> Result<String, Error> {
        let done = |()| "done".to_owned();
        let closed = || Ok("nothing open".to_owned());
        match *call {
            Call::Create(name) => {
                let writer = self.fs.create(NAMES[name])?;
                self.writers.insert(name, writer);
                Ok(done(()))
            }
            Call::Open(name) => {
                let reader = self.fs.open(NAMES[name])?;
                let len = reader.len();
                self.readers.insert(name, reader);
                Ok(len.to_string())
            }
            Call::Rename(from, to) => self.fs.rename(NAMES[from], NAMES[to]).map(done),
            Call::Remove(name) => self.fs.remove(NAMES[name]).map(done),
            Call::Truncate(name, len) => self.fs.truncate(NAMES[name], len).map(done),
            Call::Reserve(name, bytes) => self.fs.reserve(NAMES[name], bytes).map(done),
            Call::CreateDir(name) => self.fs.create_dir(NAMES[name]).map(done),
            Call::SyncDir => self.fs.sync_dir().map(done),
            Call::List => self.fs.list().map(|entries| {
                let is_ours = |name: &str| name != "LOCK";
                format!(
                    "{:?}",
                    entries.iter().filter(|entry| is_ours(&entry.name)).collect::<Vec<_>>()
                )
            }),
            Call::Lock(name) => {
                // The contents of a lock file differ: no other file may be one.
                let is_refused = NAMES[name].contains(['/', '.']);
                let name = if is_refused { NAMES[name] } else { "LOCK" };
                self.lock = Some(self.fs.lock(name)?);
                Ok(done(()))
            }
            Call::Unlock => {
                self.lock = None;
                Ok(done(()))
            }
            Call::Read(slot, ..) | Call::Map(slot) | Call::DropCache(slot) => {
                self.readers.get(&slot).map_or_else(closed, |reader| read(&**reader, call))
            }
            Call::SyncHandle(slot) => {
                self.handles.get(&slot).map_or_else(closed, |handle| handle.sync().map(done))
            }
            Call::TakeHandle(slot) => {
                let Some(writer) = self.writers.get(&slot) else { return closed() };
                self.handles.insert(slot, writer.sync_handle());
                Ok(done(()))
            }
            Call::DropWriter(slot) => {
                self.writers.remove(&slot);
                Ok(done(()))
            }
            Call::Append(slot, ..)
            | Call::ZeroFill(slot, _)
            | Call::Sync(slot)
            | Call::Seal(slot) => {
                let Some(writer) = self.writers.get_mut(&slot) else { return closed() };
                write(&mut **writer, call)?;
                Ok(writer.position().to_string())
            }
        }
    }
}

fn read(reader: &dyn ReadFile, call: &Call) -> Result<String, Error> {
    match *call {
        Call::Read(_, offset, len) => {
            let mut buffer = vec![0; len];
            let got = reader.read_at(offset, &mut buffer)?;
            Ok(text_of(&buffer[..got]))
        }
        Call::Map(_) => Ok(text_of(reader.map()?.bytes())),
        _ => reader.drop_cache().map(|()| String::new()),
    }
}

fn write(writer: &mut dyn WriteFile, call: &Call) -> Result<(), Error> {
    match *call {
        Call::Append(_, len, byte) => writer.append(&vec![byte; len]),
        Call::ZeroFill(_, len) => writer.zero_fill(len),
        Call::Sync(_) => writer.sync(),
        _ => writer.seal(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_backends_answer_alike(calls in prop::collection::vec(call(), 1..80)) {
        let directory = tempfile::tempdir().unwrap();
        let disk = SimDisk::new(1);
        let mut real = World::new(Arc::new(RealFs::open(directory.path(), false).unwrap()));
        let mut sim = World::new(disk.fs());
        for (index, call) in calls.iter().enumerate() {
            prop_assert_eq!(real.run(call), sim.run(call), "call {}: {:?}", index, call);
        }
        for name in &NAMES[..6] {
            let bytes = |fs: &dyn Fs| fs.open(name)?.read_all();
            prop_assert_eq!(bytes(&*real.fs).map_err(kind_of), bytes(&*sim.fs).map_err(kind_of));
        }
    }
}
