//! The engine itself under a scheduler that decides which thread runs whenever
//! two of them could meet: at every lock, atomic, queue, wake-up and file call.
//!
//! ```text
//! cargo test -p kv-engine --features shuttle --test shuttle
//! ```
//!
//! | variable | meaning |
//! |---|---|
//! | `KV_SHUTTLE_ITERATIONS` | times the usual number of schedules; default 1 |
//! | `KV_SHUTTLE_SEED` | where to begin; the default is fixed, for equal runs |
//! | `KV_SHUTTLE_REPLAY` | a schedule that a failing test has printed: only that one is run |
//!
//! What the scheduler cannot show is memory that is seen out of order: it runs
//! one thread at a time. A fence that is left out passes here.

#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod closing;
mod commit;
mod conditional;
mod explore;
mod failing;
mod full_disk;
mod left_behind;
mod one_at_a_time;
mod overtaken;
mod ports;
mod published;
mod references;
mod steered;
mod swapped;
mod views;
mod world;
