//! A wrapper that makes calls of any file system fail, counts them, and lets
//! something else happen right before one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use kv_core::{Pinned, Result};
use parking_lot::Mutex;

use crate::fault::{Fault, FaultPlan, Operation};
use crate::ports::{DirEntry, DirLock, Fs, ReadFile, SyncHandle, WriteFile};

/// Passes calls on to another file system, but for those that a [`Fault`] or a
/// [hook](FaultFs::hooked) picks: they fail before they reach it. Count the calls
/// of a run, then run it once for each of them with a fault there.
///
/// Names are those under which files were created or opened. Clones share the
/// faults and the counts.
#[derive(Debug, Clone)]
pub struct FaultFs {
    inner: Arc<dyn Fs>,
    gate: Arc<Gate>,
    trusts_maps: bool,
}

/// Called before a call, with its kind and the name of its file.
type Hook = dyn Fn(Operation, &str) -> Result<()> + Send + Sync;

/// Decides which calls pass.
struct Gate {
    state: Mutex<GateState>,
    hook: Box<Hook>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(formatter)
    }
}

#[derive(Debug, Default)]
struct GateState {
    plan: FaultPlan,
    counts: BTreeMap<Operation, u64>,
}

impl Gate {
    fn pass(&self, operation: Operation, name: &str) -> Result<()> {
        let failure = {
            let mut state = self.state.lock();
            *state.counts.entry(operation).or_default() += 1;
            state.plan.failure(None, operation, name)
        };
        match failure {
            Some(failure) => Err(failure.error(operation, name.to_owned())),
            None => (self.hook)(operation, name),
        }
    }
}

impl FaultFs {
    /// Wraps `inner`; no call fails yet.
    pub fn new(inner: Arc<dyn Fs>) -> FaultFs {
        FaultFs::hooked(inner, |_, _| Ok(()))
    }

    /// Wraps `inner`; `hook` runs before every call that no fault picks, in the
    /// thread of its caller and with no lock of this wrapper held. It gets the kind
    /// of the call and the name of its file: the call waits for it, happens after
    /// what it does, and fails with what it returns.
    pub fn hooked(
        inner: Arc<dyn Fs>,
        hook: impl Fn(Operation, &str) -> Result<()> + Send + Sync + 'static,
    ) -> FaultFs {
        let trusts_maps = inner.trusts_maps();
        let gate = Arc::new(Gate { state: Mutex::default(), hook: Box::new(hook) });
        FaultFs { inner, gate, trusts_maps }
    }

    /// As on a network file system, whose maps are not to be relied on.
    #[must_use]
    pub fn without_trust_in_maps(self) -> FaultFs {
        FaultFs { trusts_maps: false, ..self }
    }

    /// Makes calls fail. Rules about op numbers match nothing here.
    pub fn inject(&self, fault: Fault) {
        self.gate.state.lock().plan.add(fault);
    }

    /// Takes back all faults.
    pub fn clear_faults(&self) {
        self.gate.state.lock().plan.clear();
    }

    /// How many calls of this kind there were, failed ones included.
    pub fn count(&self, operation: Operation) -> u64 {
        self.gate.state.lock().counts.get(&operation).copied().unwrap_or(0)
    }

    /// All kinds that were called, with their numbers of calls.
    pub fn counts(&self) -> Vec<(Operation, u64)> {
        self.gate.state.lock().counts.iter().map(|(kind, count)| (*kind, *count)).collect()
    }

    fn place(&self, name: &str) -> Place {
        Place { gate: Arc::clone(&self.gate), name: name.to_owned() }
    }
}

/// A gate for the calls on one file.
#[derive(Clone)]
struct Place {
    gate: Arc<Gate>,
    name: String,
}

impl Place {
    fn pass(&self, operation: Operation) -> Result<()> {
        self.gate.pass(operation, &self.name)
    }
}

impl Fs for FaultFs {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>> {
        self.gate.pass(Operation::Create, name)?;
        let inner = self.inner.create(name)?;
        Ok(Box::new(FaultWriteFile { inner, place: self.place(name) }))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn ReadFile>> {
        self.gate.pass(Operation::Open, name)?;
        let inner = self.inner.open(name)?;
        Ok(Arc::new(FaultReadFile { inner, place: self.place(name) }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.gate.pass(Operation::Rename, from)?;
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.gate.pass(Operation::Remove, name)?;
        self.inner.remove(name)
    }

    fn truncate(&self, name: &str, len: u64) -> Result<()> {
        self.gate.pass(Operation::Truncate, name)?;
        self.inner.truncate(name, len)
    }

    fn create_dir(&self, name: &str) -> Result<()> {
        self.gate.pass(Operation::CreateDir, name)?;
        self.inner.create_dir(name)
    }

    fn list(&self) -> Result<Vec<DirEntry>> {
        self.gate.pass(Operation::List, "")?;
        self.inner.list()
    }

    fn sync_dir(&self) -> Result<()> {
        self.gate.pass(Operation::SyncDir, "")?;
        self.inner.sync_dir()
    }

    fn lock(&self, name: &str) -> Result<Box<dyn DirLock>> {
        self.gate.pass(Operation::Lock, name)?;
        self.inner.lock(name)
    }

    fn free_space(&self) -> Result<u64> {
        self.gate.pass(Operation::FreeSpace, "")?;
        self.inner.free_space()
    }

    fn reserve(&self, name: &str, bytes: u64) -> Result<()> {
        self.gate.pass(Operation::Reserve, name)?;
        self.inner.reserve(name, bytes)
    }

    fn trusts_maps(&self) -> bool {
        self.trusts_maps
    }
}

struct FaultWriteFile {
    inner: Box<dyn WriteFile>,
    place: Place,
}

impl WriteFile for FaultWriteFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.place.pass(Operation::Append)?;
        self.inner.append(bytes)
    }

    fn zero_fill(&mut self, len: u64) -> Result<()> {
        self.place.pass(Operation::ZeroFill)?;
        self.inner.zero_fill(len)
    }

    fn position(&self) -> u64 {
        self.inner.position()
    }

    fn sync(&mut self) -> Result<()> {
        self.place.pass(Operation::Sync)?;
        self.inner.sync()
    }

    fn sync_handle(&self) -> Arc<dyn SyncHandle> {
        Arc::new(FaultSyncHandle { inner: self.inner.sync_handle(), place: self.place.clone() })
    }

    fn seal(&mut self) -> Result<()> {
        self.place.pass(Operation::Seal)?;
        self.inner.seal()
    }
}

struct FaultSyncHandle {
    inner: Arc<dyn SyncHandle>,
    place: Place,
}

impl SyncHandle for FaultSyncHandle {
    fn sync(&self) -> Result<()> {
        self.place.pass(Operation::Sync)?;
        self.inner.sync()
    }
}

struct FaultReadFile {
    inner: Arc<dyn ReadFile>,
    place: Place,
}

impl ReadFile for FaultReadFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.place.pass(Operation::Read)?;
        self.inner.read_at(offset, buffer)
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn map(&self) -> Result<Arc<dyn Pinned>> {
        self.place.pass(Operation::Map)?;
        self.inner.map()
    }

    fn drop_cache(&self) -> Result<()> {
        self.place.pass(Operation::DropCache)?;
        self.inner.drop_cache()
    }
}
