//! A disk whose syncs of the log can be made to hang, and to fail when they are
//! let go.

use std::sync::Arc;

use kv_core::{Error, Result};
use kv_engine::Env;
use kv_env::{FaultFs, Operation, SimDisk};
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
    let passed = Arc::clone(&gate);
    let fs = FaultFs::hooked(disk.fs(), move |operation, name| match operation {
        Operation::Sync if name.starts_with("wal") => passed.pass(),
        _ => Ok(()),
    });
    (gate, Env { fs: Arc::new(fs), ..disk.env() })
}
