//! The simulator at work on the engine, and on disks that are wrong on purpose.

#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod coverage;
mod failing;
mod random;
mod regressions;
mod rot;
mod shrinking;
mod trouble;
mod workloads;
