//! Records as leaked memory: a reference is as good in every thread.

use std::sync::Arc;

use kv_core::{Kind, SeqNo};

use super::pool::ArenaPool;
use super::sync::{AtomicU64, Ordering};

/// The address of a key, at which its bytes live for the rest of the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyRef(&'static Vec<u8>);

pub(crate) struct KeyCell(AtomicU64, std::sync::Mutex<Vec<KeyRef>>);

impl KeyCell {
    pub(crate) fn empty() -> KeyCell {
        KeyCell(AtomicU64::new(0), std::sync::Mutex::default())
    }
    /// The atomic holds an index into all keys that were ever stored here.
    pub(crate) fn load(&self) -> Option<KeyRef> {
        let index = self.0.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.1.lock().unwrap()[index as usize])
    }
    pub(crate) fn store(&self, key: KeyRef) {
        let count = {
            let mut stored = self.1.lock().unwrap();
            stored.push(key);
            stored.len() as u64
        };
        self.0.store(count, Ordering::Release);
    }
}

pub(crate) struct Arena;

pub(crate) struct ArenaWriter;

impl Arena {
    pub(crate) fn create(_pool: &ArenaPool) -> (Arc<Arena>, ArenaWriter) {
        (Arc::new(Arena), ArenaWriter)
    }
    pub(crate) fn key(&self, key: KeyRef) -> &[u8] {
        key.0
    }
}

impl ArenaWriter {
    pub(crate) fn used_bytes(&self) -> usize {
        0
    }
    pub(crate) fn push_key(&mut self, key: &[u8], _: SeqNo, _: Kind, _: &[u8]) -> KeyRef {
        KeyRef(Box::leak(Box::new(key.to_vec())))
    }
    pub(crate) fn push_version(&mut self, _: KeyRef, _: SeqNo, _: Kind, _: &[u8]) {}
}
