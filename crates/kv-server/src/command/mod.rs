//! Commands: from arguments to a reply and pending writes.
//!
//! 1. The table finds the command and checks what can be checked beforehand.
//! 2. `execute` queues it if a transaction is open, asks for another context
//!    if this one will not do, and else runs its handler.
//! 3. The handler reads and writes through `DataContext`: the engine's view
//!    under the pending writes of the run.
//! 4. The runtime commits the run's batch, and only then lets its replies go.
//!
//! Nothing here does I/O, reads a clock, makes up a number or waits: the same
//! commands on the same data, time and seed give the same replies and the same
//! batch.

mod arguments;
mod call;
mod client;
mod connection;
mod data;
mod engine_commands;
mod error;
mod glob;
mod introspection;
mod key;
mod key_specs;
mod maintenance;
mod merge;
mod outcome;
mod reader;
mod reply_room;
mod scan_cursor;
mod server;
mod server_commands;
mod session;
mod spec;
mod string;
mod syntax;
mod table;
mod transaction;
mod value;

pub(crate) use call::execute;
pub(crate) use data::{Access, DataContext, RunContext};
pub(crate) use maintenance::{KeyCounts, count_entry, delete_step, sweep_step};
pub(crate) use outcome::{Job, Outcome, Requirement};
pub(crate) use reader::{Direction, Entries, Reader};
pub(crate) use reply_room::{ReplyLimits, SHARED_VALUE_BYTES};
pub(crate) use scan_cursor::ScanCursors;
pub(crate) use server::{ClientInfo, ConfigureError, InfoSection, LevelInfo, ServerHandle};
pub(crate) use session::Session;
pub(crate) use table::command_name;
pub(crate) use value::is_expired_entry;

#[cfg(test)]
mod tests;
