//! Tests of the shared vocabulary.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod allocation;
mod batch;
mod codec;
mod errors;
mod files;
mod merge;
