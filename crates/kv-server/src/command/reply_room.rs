//! What the reply to one unit may hold in memory while it is put together.
//!
//! A reply over the limit ends its connection, so no more of it is collected
//! once it is known to be over. The commands of a transaction are carried out to
//! the end all the same, without their replies: what a batch writes must not
//! depend on the length of a reply.

use kv_core::Value;

use super::error::{CommandError, CommandResult};
use crate::resp::Reply;

/// Values from this size on are sent from where they lie, a table or memory
/// table, instead of being copied: a copy costs more than another write call,
/// and a slow reader would make the server hold it.
pub(crate) const SHARED_VALUE_BYTES: usize = 64 << 10;

/// How long a reply may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplyLimits {
    /// Bytes that are held for one reply.
    pub(crate) bytes: usize,
    /// Whether values lie in tables that are mapped, so that it is no memory to
    /// hold them. Else each holds the block that it was read in.
    pub(crate) are_tables_mapped: bool,
}

/// The reply of the current unit, as far as it has been collected.
#[derive(Debug)]
pub(crate) struct ReplyRoom {
    limits: ReplyLimits,
    held_bytes: usize,
    is_over: bool,
}

impl ReplyRoom {
    pub(crate) fn new(limits: ReplyLimits) -> ReplyRoom {
        ReplyRoom { limits, held_bytes: 0, is_over: false }
    }

    /// Begins the reply of another unit.
    pub(crate) fn begin_unit(&mut self) {
        self.held_bytes = 0;
    }

    /// True once a reply was over its limit: its connection has to end.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Bytes that the reply may still grow by.
    pub(crate) fn left_bytes(&self) -> usize {
        self.limits.bytes.saturating_sub(self.held_bytes)
    }

    /// Counts a part of the reply of `bytes` bytes.
    ///
    /// # Errors
    /// If the reply was over its limit already: one part may be of any length.
    pub(crate) fn take(&mut self, bytes: usize) -> CommandResult<()> {
        if self.held_bytes > self.limits.bytes {
            return Err(self.refuse());
        }
        self.held_bytes += bytes;
        Ok(())
    }

    /// Gives the reply up. The error is not sent: the connection ends.
    pub(crate) fn refuse(&mut self) -> CommandError {
        self.is_over = true;
        CommandError::fixed("ERR the reply is over client_output_limit")
    }

    /// Counts a value that becomes a part of the reply, and returns it in a form
    /// that holds no more memory than was counted, about.
    ///
    /// # Errors
    /// As of [`take`](ReplyRoom::take).
    pub(crate) fn keep(&mut self, value: Value) -> CommandResult<Value> {
        let is_small = value.len() < SHARED_VALUE_BYTES;
        let is_mapped = self.limits.are_tables_mapped;
        self.take(if is_small || !is_mapped { value.len() } else { 0 })?;
        Ok(if is_small && !is_mapped { Value::copy_of(&value) } else { value })
    }

    /// Counts the reply to one command of a transaction, of which `held_bytes`
    /// were counted while it was made.
    ///
    /// # Errors
    /// As of [`take`](ReplyRoom::take).
    pub(crate) fn keep_reply(&mut self, reply: Reply, held_before: usize) -> CommandResult<Reply> {
        let counted = self.held_bytes - held_before;
        match reply {
            Reply::Bulk(value) => self.keep(value).map(Reply::Bulk),
            other => {
                self.take(nested_bytes(&other).saturating_sub(counted))?;
                Ok(other)
            }
        }
    }

    /// Bytes held for the reply so far.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

/// Memory that a reply takes beyond its own size, about, without values that
/// are not copied.
pub(crate) fn nested_bytes(reply: &Reply) -> usize {
    let of_items =
        |items: &[Reply]| size_of_val(items) + items.iter().map(nested_bytes).sum::<usize>();
    match reply {
        Reply::Bulk(value) if value.len() < SHARED_VALUE_BYTES => value.len(),
        Reply::Simple(text) | Reply::Error(text) => text.len(),
        Reply::Verbatim(text) => text.len(),
        Reply::Array(items) | Reply::Set(items) => of_items(items),
        Reply::Map(pairs) => {
            let nested = |(key, value): &(Reply, Reply)| nested_bytes(key) + nested_bytes(value);
            size_of_val(pairs.as_slice()) + pairs.iter().map(nested).sum::<usize>()
        }
        Reply::Bulk(_)
        | Reply::Integer(_)
        | Reply::Nil
        | Reply::NilArray
        | Reply::Double(_)
        | Reply::Boolean(_) => 0,
    }
}
