//! Telling callbacks that their batches are as durable as asked.
//!
//! Groups come here in the order of their commit, from the holder of the sync role,
//! and one thread at a time tells them, without that role: a callback may submit
//! the next batch, which may come to end a segment and takes the role for that, or
//! syncs at once where there are no threads. What becomes final meanwhile is told
//! by the same thread after the callback has returned: a chain of batches that
//! submit each other is never more than a call deep.

use std::collections::VecDeque;

use crate::primitives::{Mutex, thread};
use crate::sync::PendingGroup;

/// Groups that are final, and whose callbacks do not know it yet.
#[derive(Default)]
pub(crate) struct Acknowledgements {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    groups: VecDeque<PendingGroup>,
    /// Somebody tells them, and will tell what is added.
    is_served: bool,
}

/// Held by the one who tells.
struct Turn<'a>(&'a Acknowledgements);

impl Acknowledgements {
    /// Adds groups, to be told by the next [`tell`](Acknowledgements::tell).
    pub(crate) fn add(&self, groups: Vec<PendingGroup>) {
        self.queue.lock().groups.extend(groups);
    }

    /// Tells all groups, unless somebody does already.
    pub(crate) fn tell(&self) {
        if std::mem::replace(&mut self.queue.lock().is_served, true) {
            return;
        }
        let turn = Turn(self);
        while let Some(group) = turn.next() {
            group.complete_all(&Ok(()));
        }
    }
}

impl Turn<'_> {
    /// The next group; the turn is over if there is none.
    fn next(&self) -> Option<PendingGroup> {
        let mut queue = self.0.queue.lock();
        let next = queue.groups.pop_front();
        queue.is_served = next.is_some();
        next
    }
}

impl Drop for Turn<'_> {
    /// After a panic of a callback the next one to come tells the rest.
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.queue.lock().is_served = false;
        }
    }
}
