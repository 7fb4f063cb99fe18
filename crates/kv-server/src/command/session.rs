//! The state of one connection that commands see and change.
//!
//! A run that meets a conflict is executed again from a copy of the session
//! taken before it, so a copy costs a few reference counts and the session
//! holds nothing that cannot be taken back.

use std::collections::BTreeMap;
use std::sync::Arc;

use kv_core::{Expectation, MAX_BATCH_BYTES};

use super::spec::CommandSpec;
use crate::resp::{Args, OwnedArgs, Protocol};

/// Bytes of commands that a transaction may queue: more could not commit as
/// one batch.
pub(crate) const MAX_QUEUED_BYTES: usize = MAX_BATCH_BYTES;

/// What a queued argument takes beside its bytes: where it lies, and a share of
/// the command's allocations.
const ARGUMENT_OVERHEAD_BYTES: usize = 64;

/// What a watched key takes beside its bytes, which are there twice.
const WATCH_OVERHEAD_BYTES: usize = 128;

/// What a connection has agreed on and is in the middle of.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Number of the connection, as `CLIENT ID` tells it.
    pub(crate) id: u64,
    /// The database that `SELECT` chose.
    pub(crate) database: u8,
    pub(crate) protocol: Protocol,
    /// True where no password is asked for, and after the right one.
    pub(crate) authenticated: bool,
    /// Wrong passwords so far.
    pub(crate) auth_failures: u32,
    /// What `CLIENT SETNAME` set; empty for no name.
    pub(crate) name: Arc<str>,
    /// What the client library told with `CLIENT SETINFO`.
    pub(crate) library_name: Arc<str>,
    pub(crate) library_version: Arc<str>,
    /// `Some` between `MULTI` and `EXEC` or `DISCARD`.
    pub(crate) transaction: Option<Transaction>,
    pub(crate) watches: Watches,
}

impl Session {
    /// A connection that has said nothing yet.
    pub(crate) fn new(id: u64, authenticated: bool) -> Session {
        Session {
            id,
            database: 0,
            protocol: Protocol::Resp2,
            authenticated,
            auth_failures: 0,
            name: Arc::from(""),
            library_name: Arc::from(""),
            library_version: Arc::from(""),
            transaction: None,
            watches: Watches::default(),
        }
    }

    /// Ends a transaction, if there is one, without executing it.
    pub(crate) fn discard(&mut self) {
        self.transaction = None;
        self.watches = Watches::default();
    }

    /// Notes that a command was refused before it could be queued: `EXEC` will
    /// refuse the transaction as a whole.
    pub(crate) fn note_refused(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.refused = true;
        }
    }

    /// Memory that the session takes beyond its own size, about, in bytes:
    /// what a client has queued and watches.
    pub(crate) fn held_bytes(&self) -> usize {
        let queued = self.transaction.as_ref().map_or(0, |transaction| transaction.bytes);
        queued + self.watches.bytes
    }

    /// Commands waiting for `EXEC`; `None` outside a transaction.
    pub(crate) fn queued_commands(&self) -> Option<usize> {
        self.transaction.as_ref().map(|transaction| transaction.commands.len())
    }
}

/// A command that waits for `EXEC`.
#[derive(Debug)]
pub(crate) struct QueuedCommand {
    pub(crate) spec: &'static CommandSpec,
    pub(crate) args: OwnedArgs,
}

/// The commands between `MULTI` and `EXEC`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transaction {
    commands: Arc<Vec<Arc<QueuedCommand>>>,
    bytes: usize,
    refused: bool,
}

impl Transaction {
    /// Queues a command; false if the queue is full.
    pub(crate) fn push(&mut self, spec: &'static CommandSpec, args: Args<'_>) -> bool {
        let bytes = self.bytes + args.size_bytes() + args.len() * ARGUMENT_OVERHEAD_BYTES;
        if bytes > MAX_QUEUED_BYTES {
            return false;
        }
        self.bytes = bytes;
        let command = Arc::new(QueuedCommand { spec, args: args.to_owned() });
        Arc::make_mut(&mut self.commands).push(command);
        true
    }

    pub(crate) fn commands(&self) -> &[Arc<QueuedCommand>] {
        &self.commands
    }

    /// True if a command was refused while queueing.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }
}

/// The keys that `WATCH` named.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watches {
    keys: Arc<BTreeMap<Vec<u8>, WatchedKey>>,
    bytes: usize,
    /// True once this connection itself has written one of them.
    is_broken: bool,
}

impl Watches {
    /// Watches one more engine key.
    pub(crate) fn add(&mut self, key: Vec<u8>, watched: WatchedKey) {
        self.bytes += 2 * key.len() + WATCH_OVERHEAD_BYTES;
        Arc::make_mut(&mut self.keys).insert(key, watched);
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.keys.contains_key(key)
    }

    /// The watched engine keys, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &WatchedKey)> {
        self.keys.iter().map(|(key, watched)| (key.as_slice(), watched))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Notes that this connection has written a key itself.
    pub(crate) fn note_own_write(&mut self, key: &[u8]) {
        self.is_broken |= self.contains(key);
    }

    /// True if this connection itself has written a watched key.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }
}

/// A key as it was when `WATCH` named it.
#[derive(Debug, Clone)]
pub(crate) struct WatchedKey {
    pub(crate) expectation: Expectation,
    /// When its value was to expire, in milliseconds since 1970-01-01 UTC.
    pub(crate) expires_at_ms: Option<u64>,
    /// True if the key had expired by then and only waited for its removal:
    /// the removal is no change.
    pub(crate) was_expired: bool,
}
