//! A file system in which somebody else acts right before a call.

use std::fmt;
use std::sync::{Arc, Mutex};

use kv_core::{Pinned, Result};
use kv_env::{DirEntry, DirLock, Env, Fs, Operation, ReadFile, SimDisk, WriteFile};

/// What happens before a call, once.
struct Act {
    operation: Operation,
    /// How the name of the call's file starts.
    prefix: &'static str,
    act: Box<dyn FnOnce() + Send>,
}

/// The file system of a simulated disk, with acts before some of its calls.
#[derive(Clone)]
pub(crate) struct Interposed {
    inner: Arc<dyn Fs>,
    acts: Arc<Mutex<Vec<Act>>>,
    /// The file whose end is gone once it is open, and where it ends then.
    shortened: Arc<Mutex<Option<(&'static str, u64)>>>,
}

impl Interposed {
    pub(crate) fn on(disk: &SimDisk) -> (Interposed, Env) {
        let fs = Interposed { inner: disk.fs(), acts: Arc::default(), shortened: Arc::default() };
        let env = Env { fs: Arc::new(fs.clone()), ..disk.env() };
        (fs, env)
    }

    /// Has `act` done before the next `operation`, a removal or an open, on a file
    /// whose name starts with `prefix`.
    pub(crate) fn before(
        &self,
        operation: Operation,
        prefix: &'static str,
        act: impl FnOnce() + Send + 'static,
    ) {
        self.acts.lock().unwrap().push(Act { operation, prefix, act: Box::new(act) });
    }

    /// Acts that have not had their turn.
    pub(crate) fn acts_left(&self) -> usize {
        self.acts.lock().unwrap().len()
    }

    /// Has reads of `name` find its end at `bytes`, although it was longer when it
    /// was opened.
    pub(crate) fn shorten(&self, name: &'static str, bytes: u64) {
        *self.shortened.lock().unwrap() = Some((name, bytes));
    }

    fn meet(&self, operation: Operation, name: &str) {
        let mut acts = self.acts.lock().unwrap();
        let concerns = |act: &Act| act.operation == operation && name.starts_with(act.prefix);
        let Some(index) = acts.iter().position(concerns) else { return };
        let met = acts.remove(index);
        drop(acts);
        (met.act)();
    }
}

impl fmt::Debug for Interposed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}

impl Fs for Interposed {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>> {
        self.inner.create(name)
    }

    fn open(&self, name: &str) -> Result<Arc<dyn ReadFile>> {
        self.meet(Operation::Open, name);
        let file = self.inner.open(name)?;
        match *self.shortened.lock().unwrap() {
            Some((shortened, end)) if shortened == name => Ok(Arc::new(Shortened { file, end })),
            _ => Ok(file),
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.meet(Operation::Remove, name);
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

    fn trusts_maps(&self) -> bool {
        self.inner.trusts_maps()
    }
}

struct Shortened {
    file: Arc<dyn ReadFile>,
    end: u64,
}

impl ReadFile for Shortened {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let got = self.file.read_at(offset, buffer)?;
        Ok((got as u64).min(self.end.saturating_sub(offset)) as usize)
    }

    fn len(&self) -> u64 {
        self.file.len()
    }

    fn map(&self) -> Result<Arc<dyn Pinned>> {
        self.file.map()
    }

    fn drop_cache(&self) -> Result<()> {
        self.file.drop_cache()
    }
}
