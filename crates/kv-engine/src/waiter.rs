//! How the result of a write reaches whoever waits for it.

use std::sync::Arc;

use kv_core::{Error, Result, SeqNo};

use crate::primitives::Mutex;
use crate::primitives::atomic::{AtomicBool, Ordering};
use crate::primitives::thread::{self, Thread};

/// A caller blocked in `write`.
#[derive(Debug)]
pub(crate) struct Waiter {
    done: AtomicBool,
    result: Mutex<Option<Result<SeqNo>>>,
    thread: Thread,
}

impl Waiter {
    /// A waiter for the calling thread.
    pub(crate) fn new() -> Arc<Waiter> {
        Arc::new(Waiter {
            done: AtomicBool::new(false),
            result: Mutex::new(None),
            thread: thread::current(),
        })
    }

    /// The result, once there is one.
    pub(crate) fn poll(&self) -> Option<Result<SeqNo>> {
        self.done
            .load(Ordering::Acquire)
            .then(|| self.result.lock().take().expect("the result is stored before done is set"))
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Blocks until woken; may wake early, so poll in a loop.
    pub(crate) fn park(&self) {
        if !self.done.load(Ordering::Acquire) {
            thread::park();
        }
    }

    fn complete(&self, result: Result<SeqNo>) {
        *self.result.lock() = Some(result);
        self.done.store(true, Ordering::Release);
        if self.thread.id() != thread::current().id() {
            self.thread.unpark();
        }
    }
}

/// Called once with the outcome of a submitted batch.
pub(crate) type OnDone = Box<dyn FnOnce(Result<SeqNo>) + Send>;

/// Where the outcome of a batch goes. One that is dropped unanswered, because
/// the thread that held it panicked, still tells its caller.
pub(crate) struct Completion(Option<Target>);

enum Target {
    Waiter(Arc<Waiter>),
    Callback(OnDone),
}

impl Completion {
    pub(crate) fn waiter(waiter: &Arc<Waiter>) -> Completion {
        Completion(Some(Target::Waiter(Arc::clone(waiter))))
    }

    pub(crate) fn callback(on_done: OnDone) -> Completion {
        Completion(Some(Target::Callback(on_done)))
    }

    pub(crate) fn complete(mut self, result: Result<SeqNo>) {
        self.answer(result);
    }

    /// Answers a blocked caller; false for a callback, which is left alone.
    pub(crate) fn wake_with(&mut self, seqno: SeqNo) -> bool {
        let is_waiter = matches!(self.0, Some(Target::Waiter(_)));
        if is_waiter {
            self.answer(Ok(seqno));
        }
        is_waiter
    }

    fn answer(&mut self, result: Result<SeqNo>) {
        match self.0.take() {
            Some(Target::Waiter(waiter)) => waiter.complete(result),
            Some(Target::Callback(on_done)) => on_done(result),
            None => {}
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if self.0.is_some() {
            self.answer(Err(Error::Poisoned { cause: "a panic while committing".into() }));
        }
    }
}
