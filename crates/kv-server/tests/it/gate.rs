//! A disk whose syncs of the log can be made to hang, and to fail when they are
//! let go.

use std::sync::Arc;

use kv_core::{Error, Result};
use kv_engine::Env;
use kv_env::{DirEntry, DirLock, Fs, ReadFile, SimDisk, SyncHandle, WriteFile};
use parking_lot::{Condvar, Mutex};

/// What becomes of a sync.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sync {
    Succeeds,
    Hangs,
    Fails,
}

#[derive(Debug)]
struct State {
    sync: Sync,
    hanging: usize,
}

/// Decides about the syncs of the log.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

impl Gate {
    fn new() -> Arc<Gate> {
        let state = Mutex::new(State { sync: Sync::Succeeds, hanging: 0 });
        Arc::new(Gate { state, changed: Condvar::new() })
    }

    pub(crate) fn set(&self, sync: Sync) {
        self.state.lock().sync = sync;
        self.changed.notify_all();
    }

    /// Waits until a sync hangs.
    pub(crate) fn wait_for_hang(&self) {
        let mut state = self.state.lock();
        while state.hanging == 0 {
            self.changed.wait(&mut state);
        }
    }

    fn pass(&self) -> Result<()> {
        let mut state = self.state.lock();
        state.hanging += 1;
        self.changed.notify_all();
        while state.sync == Sync::Hangs {
            self.changed.wait(&mut state);
        }
        state.hanging -= 1;
        match state.sync {
            Sync::Fails => Err(Error::io("sync", "wal.log", std::io::Error::other("it failed"))),
            _ => Ok(()),
        }
    }
}

/// The environment of `disk` behind a gate.
pub(crate) fn gated(disk: &SimDisk) -> (Arc<Gate>, Env) {
    let gate = Gate::new();
    let fs = GatedFs { inner: disk.fs(), gate: Arc::clone(&gate) };
    (gate, Env { fs: Arc::new(fs), ..disk.env() })
}

#[derive(Debug)]
struct GatedFs {
    inner: Arc<dyn Fs>,
    gate: Arc<Gate>,
}

impl Fs for GatedFs {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>> {
        let inner = self.inner.create(name)?;
        if !name.starts_with("wal") {
            return Ok(inner);
        }
        Ok(Box::new(GatedFile { inner, gate: Arc::clone(&self.gate) }))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn ReadFile>> {
        self.inner.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.inner.remove(name)
    }

    fn truncate(&self, name: &str, len: u64) -> Result<()> {
        self.inner.truncate(name, len)
    }

    fn create_dir(&self, name: &str) -> Result<()> {
        self.inner.create_dir(name)
    }

    fn list(&self) -> Result<Vec<DirEntry>> {
        self.inner.list()
    }

    fn sync_dir(&self) -> Result<()> {
        self.inner.sync_dir()
    }

    fn lock(&self, name: &str) -> Result<Box<dyn DirLock>> {
        self.inner.lock(name)
    }

    fn free_space(&self) -> Result<u64> {
        self.inner.free_space()
    }

    fn reserve(&self, name: &str, bytes: u64) -> Result<()> {
        self.inner.reserve(name, bytes)
    }
}

struct GatedFile {
    inner: Box<dyn WriteFile>,
    gate: Arc<Gate>,
}

impl WriteFile for GatedFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.inner.append(bytes)
    }

    fn zero_fill(&mut self, len: u64) -> Result<()> {
        self.inner.zero_fill(len)
    }

    fn position(&self) -> u64 {
        self.inner.position()
    }

    fn sync(&mut self) -> Result<()> {
        self.gate.pass()?;
        self.inner.sync()
    }

    fn sync_handle(&self) -> Arc<dyn SyncHandle> {
        Arc::new(GatedSync { inner: self.inner.sync_handle(), gate: Arc::clone(&self.gate) })
    }

    fn seal(&mut self) -> Result<()> {
        self.inner.seal()
    }
}

struct GatedSync {
    inner: Arc<dyn SyncHandle>,
    gate: Arc<Gate>,
}

impl SyncHandle for GatedSync {
    fn sync(&self) -> Result<()> {
        self.gate.pass()?;
        self.inner.sync()
    }
}
