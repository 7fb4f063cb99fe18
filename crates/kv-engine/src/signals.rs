//! How threads of the engine wake each other: tokens, never polling.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::{Condvar, Mutex};

/// Why a thread that waited goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// There is work.
    Called,
    /// Nobody called for as long as it was willing to wait.
    PatienceOver,
    /// The engine closes.
    Closed,
}

/// A wake-up that is remembered once if nobody waits for it.
struct Token {
    sender: Mutex<Option<Sender<()>>>,
    receiver: Receiver<()>,
}

impl Token {
    fn new() -> Token {
        let (sender, receiver) = bounded(1);
        Token { sender: Mutex::new(Some(sender)), receiver }
    }

    fn wake(&self) {
        if let Some(sender) = &*self.sender.lock() {
            // A full channel means that the wake-up is pending already.
            let _ = sender.try_send(());
        }
    }

    fn wait(&self, patience: Option<Duration>) -> Wake {
        let received = match patience {
            None => self.receiver.recv().map_err(RecvTimeoutError::from),
            Some(patience) => self.receiver.recv_timeout(patience),
        };
        match received {
            Ok(()) => Wake::Called,
            Err(RecvTimeoutError::Timeout) => Wake::PatienceOver,
            Err(RecvTimeoutError::Disconnected) => Wake::Closed,
        }
    }

    fn close(&self) {
        self.sender.lock().take();
    }
}

/// The wake-ups of the background threads, and the news of their progress.
pub(crate) struct Signals {
    sync: Token,
    flush: Token,
    compact: Token,
    progress: Mutex<u64>,
    progressed: Condvar,
}

impl Signals {
    pub(crate) fn new() -> Signals {
        Signals {
            sync: Token::new(),
            flush: Token::new(),
            compact: Token::new(),
            progress: Mutex::new(0),
            progressed: Condvar::new(),
        }
    }

    pub(crate) fn wake_sync(&self) {
        self.sync.wake();
    }

    pub(crate) fn wake_flush(&self) {
        self.flush.wake();
    }

    pub(crate) fn wake_compact(&self) {
        self.compact.wake();
    }

    pub(crate) fn wait_for_sync(&self, patience: Option<Duration>) -> Wake {
        self.sync.wait(patience)
    }

    pub(crate) fn wait_for_flush(&self, patience: Option<Duration>) -> Wake {
        self.flush.wait(patience)
    }

    pub(crate) fn wait_for_compact(&self, patience: Option<Duration>) -> Wake {
        self.compact.wait(patience)
    }

    /// Ends the loops of the background threads.
    pub(crate) fn close(&self) {
        self.sync.close();
        self.flush.close();
        self.compact.close();
        self.announce_progress();
    }

    /// Tells everyone who waits that a background job has ended.
    pub(crate) fn announce_progress(&self) {
        *self.progress.lock() += 1;
        self.progressed.notify_all();
    }

    /// Waits for the end of any background job, at most `patience`.
    pub(crate) fn wait_for_progress(&self, patience: Duration) {
        let mut progress = self.progress.lock();
        self.progressed.wait_for(&mut progress, patience);
    }

    /// The number of jobs that have ended so far.
    pub(crate) fn progress(&self) -> u64 {
        *self.progress.lock()
    }

    /// Waits until more than `seen` jobs have ended.
    pub(crate) fn wait_beyond(&self, seen: u64) {
        let mut progress = self.progress.lock();
        while *progress <= seen {
            self.progressed.wait(&mut progress);
        }
    }
}
