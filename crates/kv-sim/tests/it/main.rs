//! The simulator at work on the engine, and on engines and disks that are
//! wrong on purpose.

#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod random;
mod workloads;
