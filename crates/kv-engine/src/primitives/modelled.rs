//! The primitives under the scheduler of `shuttle`, each with the interface of
//! the one it stands for. A thread may be switched away from wherever it enters
//! one of them.

use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError, TryLockError};
use std::time::Duration;

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync;
use shuttle::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// A lock that a panic does not poison, as those of parking_lot.
pub(crate) struct Mutex<T>(sync::Mutex<T>);

/// Gives the lock back when dropped.
pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a sync::Mutex<T>,
    /// Empty only while a condition variable has let go of the lock.
    held: Option<sync::MutexGuard<'a, T>>,
}

const HELD: &str = "the lock is held but inside a wait";

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: &self.0, held: Some(lock(&self.0)) }
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let held = match self.0.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(MutexGuard { mutex: &self.0, held: Some(held) })
    }
}

fn lock<T>(mutex: &sync::Mutex<T>) -> sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().expect(HELD)
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().expect(HELD)
    }
}

/// A condition variable. Waits with a timeout end at any moment, for there is
/// no time here.
pub(crate) struct Condvar {
    inner: sync::Condvar,
    notified: AtomicU64,
}

/// How a wait with a timeout ended.
pub(crate) struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

/// The odds against a timeout at each look, one to this.
const LOOKS_PER_TIMEOUT: u32 = 4;

impl Condvar {
    pub(crate) fn new() -> Condvar {
        Condvar { inner: sync::Condvar::new(), notified: AtomicU64::new(0) }
    }

    pub(crate) fn notify_all(&self) {
        self.notified.fetch_add(1, SeqCst);
        self.inner.notify_all();
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.held.take().expect(HELD);
        let held = self.inner.wait(held).unwrap_or_else(PoisonError::into_inner);
        guard.held = Some(held);
    }

    /// Looks whether somebody notified instead of sleeping: a sleep that only a
    /// timeout would end must not pass for a deadlock.
    pub(crate) fn wait_for<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        _patience: Duration,
    ) -> WaitTimeoutResult {
        let seen = self.notified.load(SeqCst);
        guard.held = None;
        let timed_out = loop {
            shuttle::thread::yield_now();
            if self.notified.load(SeqCst) != seen {
                break false;
            }
            if thread_rng().gen_range(0..LOOKS_PER_TIMEOUT) == 0 {
                break true;
            }
        };
        guard.held = Some(lock(guard.mutex));
        WaitTimeoutResult(timed_out)
    }
}

/// A queue without a bound.
pub(crate) struct SegQueue<T>(Mutex<VecDeque<T>>);

impl<T> SegQueue<T> {
    pub(crate) fn new() -> SegQueue<T> {
        SegQueue(Mutex::new(VecDeque::new()))
    }

    pub(crate) fn push(&self, value: T) {
        self.0.lock().push_back(value);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.0.lock().pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

impl<T> Default for SegQueue<T> {
    fn default() -> SegQueue<T> {
        SegQueue::new()
    }
}

impl<T> fmt::Debug for SegQueue<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SegQueue").finish_non_exhaustive()
    }
}

/// A pointer that is replaced as a whole: the real one, whose inside never
/// blocks, behind a point where threads may be switched.
pub(crate) struct ArcSwap<T> {
    inner: arc_swap::ArcSwap<T>,
    meeting_point: AtomicU64,
}

impl<T> ArcSwap<T> {
    pub(crate) fn from_pointee(value: T) -> ArcSwap<T> {
        ArcSwap { inner: arc_swap::ArcSwap::from_pointee(value), meeting_point: AtomicU64::new(0) }
    }

    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<T>> {
        self.meeting_point.load(SeqCst);
        self.inner.load()
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        self.meeting_point.load(SeqCst);
        self.inner.load_full()
    }

    pub(crate) fn store(&self, value: Arc<T>) {
        self.meeting_point.fetch_add(1, SeqCst);
        self.inner.store(value);
    }
}

/// All threads share one of the system's here, which must stay as it is.
pub(crate) fn schedule_as_background() {}
