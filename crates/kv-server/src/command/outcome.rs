//! What the execution of one command asks of the runtime.

use crate::resp::Reply;

/// How a command ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// The reply, to leave once the run's batch is durable as asked.
    Reply(Reply),
    /// The reply, after which the connection closes.
    Close(Reply),
    /// Work outside of the run; its result is the reply. The run has no
    /// pending writes at that point.
    Job(Job),
    /// Nothing was done: the command has to be executed again, in a context
    /// that fulfils the requirement.
    Again(Requirement),
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Outcome {
        Outcome::Reply(reply)
    }
}

/// What a command needs that its run cannot give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// A context with `Access::Update`. The run has no pending writes.
    UpdateView,
    /// That the pending writes of the run commit first.
    Commit,
    /// A context with `may_take_long`, where nobody waits behind it. The run
    /// has no pending writes.
    LongRun,
}

/// Work that a command starts and that is more than one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// Delete all keys of a database or of all; see
    /// [`delete_step`](super::maintenance::delete_step). Reply: `OK`.
    DeleteAll {
        /// `None` for all databases.
        database: Option<u8>,
    },
    /// Write the memory table to a table file. Reply: `OK`.
    FlushMemtable,
    /// Compact the whole tree. Reply: `OK`.
    Compact,
    /// Make everything durable and stop the server. No reply but the closing
    /// of the connection, unless it fails.
    Shutdown,
}
