//! How threads of the engine wake each other: tokens, never polling.

use std::time::Duration;

use crate::primitives::{Condvar, Mutex};

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

/// A wake-up that is remembered once if nobody waits for it. One thread waits.
struct Token {
    state: Mutex<TokenState>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenState {
    Quiet,
    Called,
    Closed,
}

impl Token {
    fn new() -> Token {
        Token { state: Mutex::new(TokenState::Quiet), changed: Condvar::new() }
    }

    fn wake(&self) {
        let mut state = self.state.lock();
        if *state == TokenState::Quiet {
            *state = TokenState::Called;
            drop(state);
            self.changed.notify_all();
        }
    }

    fn wait(&self, patience: Option<Duration>) -> Wake {
        let mut state = self.state.lock();
        let mut patience_over = false;
        loop {
            match *state {
                TokenState::Closed => return Wake::Closed,
                TokenState::Called => {
                    *state = TokenState::Quiet;
                    return Wake::Called;
                }
                TokenState::Quiet if patience_over => return Wake::PatienceOver,
                TokenState::Quiet => match patience {
                    None => self.changed.wait(&mut state),
                    Some(patience) => {
                        patience_over = self.changed.wait_for(&mut state, patience).timed_out();
                    }
                },
            }
        }
    }

    fn close(&self) {
        *self.state.lock() = TokenState::Closed;
        self.changed.notify_all();
    }
}

/// The wake-ups of the background threads, and the news of their progress.
pub(crate) struct Signals {
    sync: Token,
    flush: Token,
    compact: Token,
    scrub: Token,
    progress: Mutex<u64>,
    progressed: Condvar,
}

impl Signals {
    pub(crate) fn new() -> Signals {
        Signals {
            sync: Token::new(),
            flush: Token::new(),
            compact: Token::new(),
            scrub: Token::new(),
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

    /// Nobody calls the scrub thread: it waits for its time, or for the end.
    pub(crate) fn wait_for_scrub(&self, patience: Option<Duration>) -> Wake {
        self.scrub.wait(patience)
    }

    /// Ends the loops of the background threads.
    pub(crate) fn close(&self) {
        self.sync.close();
        self.flush.close();
        self.compact.close();
        self.scrub.close();
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
