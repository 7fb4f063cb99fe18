//! One budget for the requests and replies of all clients together.
//!
//! Every connection may hold a little for free; what it holds beyond that is
//! reserved here first. Without a common budget the limits per connection
//! would multiply with the number of connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Memory a connection holds without asking, in bytes: the buffers of a
/// client that sends small requests.
pub(crate) const FREE_BYTES: usize = 64 << 10;

/// Reserved bytes of all connections.
#[derive(Debug, Default)]
pub(crate) struct MemoryBudget {
    reserved: AtomicU64,
}

impl MemoryBudget {
    pub(crate) fn reserved_bytes(&self) -> u64 {
        self.reserved.load(Relaxed)
    }
}

/// The share of one connection; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<MemoryBudget>,
    bytes: u64,
}

/// What a connection holds, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    /// Requests that have arrived, and the session: queued commands.
    pub(crate) input: usize,
    /// Replies on their way.
    pub(crate) output: usize,
    /// Writes on their way to the engine, beyond the requests they came in.
    pub(crate) batch: usize,
}

impl Reservation {
    pub(crate) fn new(budget: Arc<MemoryBudget>) -> Reservation {
        Reservation { budget, bytes: 0 }
    }

    /// Makes the share fit what is held; false if all shares together would be
    /// over `limit` then.
    pub(crate) fn adjust(&mut self, held: Held, limit: u64) -> bool {
        let needed = (held.input + held.output + held.batch).saturating_sub(FREE_BYTES) as u64;
        if needed > self.bytes {
            let more = needed - self.bytes;
            if self.budget.reserved.fetch_add(more, Relaxed) + more > limit {
                self.budget.reserved.fetch_sub(more, Relaxed);
                return false;
            }
        } else {
            self.budget.reserved.fetch_sub(self.bytes - needed, Relaxed);
        }
        self.bytes = needed;
        true
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.reserved.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_limited_together_and_given_back() {
        let budget = Arc::new(MemoryBudget::default());
        let mut first = Reservation::new(Arc::clone(&budget));
        let mut second = Reservation::new(Arc::clone(&budget));
        let held = |more: usize| Held { input: FREE_BYTES, output: more, batch: 0 };
        assert!(first.adjust(held(0), 0), "a little is free");
        assert!(first.adjust(held(60), 100));
        assert!(!second.adjust(held(60), 100), "60 of 100 are taken");
        assert!(second.adjust(held(40), 100));
        drop(first);
        assert_eq!(budget.reserved_bytes(), 40);
        assert!(second.adjust(Held::default(), 100));
        assert_eq!(budget.reserved_bytes(), 0);
    }
}
