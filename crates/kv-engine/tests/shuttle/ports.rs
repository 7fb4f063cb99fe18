//! The simulated disk and a clock, with points where threads may be switched
//! around every call, and a watch over files that are gone and over syncs that
//! are tried again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kv_core::{Pinned, Result};
use kv_env::{
    Clock, DirEntry, DirLock, Env, Fs, Operation, ReadFile, SimDisk, SyncHandle, WriteFile,
};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::atomic::AtomicU64;

/// Lets another thread run, if the scheduler wants it.
pub(crate) fn meet() {
    AtomicU64::new(0).load(Ordering::SeqCst);
}

/// Called before an append to a file and before a sync of one, with the name under
/// which it was created: where a thread can be held, and made to fail.
pub(crate) type Hook = Arc<dyn Fn(Operation, &str) -> Result<()> + Send + Sync>;

/// The ports of `disk` for threads under the scheduler.
pub(crate) fn ports(disk: &SimDisk, hook: Hook) -> Env {
    let env = disk.env();
    let clock = Arc::new(JumpingClock { now: std::sync::Mutex::default() });
    let (open, syncs) = (std::sync::Mutex::default(), Syncs::default());
    Env { fs: Arc::new(WatchedFs { inner: env.fs, open, syncs, hook }), clock, ..env }
}

/// A clock that jumps ahead at every look: any timeout may be over.
#[derive(Debug)]
struct JumpingClock {
    now: std::sync::Mutex<Duration>,
}

impl Clock for JumpingClock {
    fn monotonic(&self) -> Duration {
        let mut now = self.now.lock().unwrap();
        *now += Duration::from_millis(thread_rng().gen_range(0..20));
        *now
    }

    fn wall_ms(&self) -> u64 {
        1_704_067_200_000
    }
}

/// Set when the name of an open file is removed.
type Removed = Arc<AtomicBool>;

/// Switches threads around calls; fails reads of files whose name is gone.
struct WatchedFs {
    inner: Arc<dyn Fs>,
    open: std::sync::Mutex<Vec<(String, Removed)>>,
    /// Those of the directory.
    syncs: Syncs,
    hook: Hook,
}

impl fmt::Debug for WatchedFs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}

/// The syncs of one file or directory: none may follow on one that failed,
/// whichever thread it comes from, for it would succeed. None may run beside
/// another: the system tells of lost pages once.
#[derive(Debug, Clone, Default)]
struct Syncs {
    has_failed: Arc<AtomicBool>,
    is_running: Arc<AtomicBool>,
}

impl Syncs {
    fn watch(&self, sync: impl FnOnce() -> Result<()>) -> Result<()> {
        between_meetings(|| {
            assert!(!self.has_failed.load(Ordering::SeqCst), "a sync is tried again");
            let is_second = self.is_running.swap(true, Ordering::SeqCst);
            assert!(!is_second, "two threads sync the same file at once");
            meet();
            let outcome = sync();
            self.is_running.store(false, Ordering::SeqCst);
            outcome.inspect_err(|_| self.has_failed.store(true, Ordering::SeqCst))
        })
    }
}

/// Switches before and after `call`.
fn between_meetings<T>(call: impl FnOnce() -> T) -> T {
    meet();
    let result = call();
    meet();
    result
}

impl Fs for WatchedFs {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>> {
        let inner = between_meetings(|| self.inner.create(name))?;
        let point = HookPoint { hook: Arc::clone(&self.hook), name: name.to_owned() };
        Ok(Box::new(MeetingWriteFile { inner, syncs: Syncs::default(), point }))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn ReadFile>> {
        let inner = between_meetings(|| self.inner.open(name))?;
        let removed = Removed::default();
        self.open.lock().unwrap().push((name.to_owned(), Arc::clone(&removed)));
        Ok(Arc::new(WatchedReadFile { inner, removed, name: name.to_owned() }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        between_meetings(|| self.inner.rename(from, to))
    }

    fn remove(&self, name: &str) -> Result<()> {
        meet();
        self.inner.remove(name)?;
        let mut open = self.open.lock().unwrap();
        for (_, removed) in open.extract_if(.., |(open, _)| open == name) {
            removed.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    fn truncate(&self, name: &str, len: u64) -> Result<()> {
        between_meetings(|| self.inner.truncate(name, len))
    }

    fn create_dir(&self, name: &str) -> Result<()> {
        self.inner.create_dir(name)
    }

    fn list(&self) -> Result<Vec<DirEntry>> {
        self.inner.list()
    }

    fn sync_dir(&self) -> Result<()> {
        self.syncs.watch(|| self.inner.sync_dir())
    }

    fn lock(&self, name: &str) -> Result<Box<dyn DirLock>> {
        self.inner.lock(name)
    }

    fn free_space(&self) -> Result<u64> {
        between_meetings(|| self.inner.free_space())
    }

    fn reserve(&self, name: &str, bytes: u64) -> Result<()> {
        between_meetings(|| self.inner.reserve(name, bytes))
    }
}

/// The hook for the calls on one file.
#[derive(Clone)]
struct HookPoint {
    hook: Hook,
    name: String,
}

impl HookPoint {
    fn pass(&self, operation: Operation) -> Result<()> {
        (self.hook)(operation, &self.name)
    }
}

struct MeetingWriteFile {
    inner: Box<dyn WriteFile>,
    syncs: Syncs,
    point: HookPoint,
}

impl WriteFile for MeetingWriteFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.point.pass(Operation::Append)?;
        between_meetings(|| self.inner.append(bytes))
    }

    fn zero_fill(&mut self, len: u64) -> Result<()> {
        between_meetings(|| self.inner.zero_fill(len))
    }

    fn position(&self) -> u64 {
        self.inner.position()
    }

    fn sync(&mut self) -> Result<()> {
        self.syncs.watch(|| self.point.pass(Operation::Sync).and_then(|()| self.inner.sync()))
    }

    fn sync_handle(&self) -> Arc<dyn SyncHandle> {
        let (syncs, point) = (self.syncs.clone(), self.point.clone());
        Arc::new(MeetingSyncHandle { inner: self.inner.sync_handle(), syncs, point })
    }

    fn seal(&mut self) -> Result<()> {
        self.syncs.watch(|| self.inner.seal())
    }
}

struct MeetingSyncHandle {
    inner: Arc<dyn SyncHandle>,
    syncs: Syncs,
    point: HookPoint,
}

impl SyncHandle for MeetingSyncHandle {
    fn sync(&self) -> Result<()> {
        self.syncs.watch(|| self.point.pass(Operation::Sync).and_then(|()| self.inner.sync()))
    }
}

/// Reads are no meeting points: the block cache waits for them with locks that
/// the scheduler does not know.
struct WatchedReadFile {
    inner: Arc<dyn ReadFile>,
    removed: Removed,
    name: String,
}

impl ReadFile for WatchedReadFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        assert!(!self.removed.load(Ordering::SeqCst), "{} is read and was removed", self.name);
        self.inner.read_at(offset, buffer)
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn map(&self) -> Result<Arc<dyn Pinned>> {
        let (inner, removed) = (self.inner.map()?, Arc::clone(&self.removed));
        Ok(Arc::new(WatchedMap { inner, removed, name: self.name.clone() }))
    }

    fn drop_cache(&self) -> Result<()> {
        self.inner.drop_cache()
    }
}

struct WatchedMap {
    inner: Arc<dyn Pinned>,
    removed: Removed,
    name: String,
}

impl Pinned for WatchedMap {
    fn bytes(&self) -> &[u8] {
        assert!(!self.removed.load(Ordering::SeqCst), "{} is used and was removed", self.name);
        self.inner.bytes()
    }
}
