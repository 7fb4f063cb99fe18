//! Tests of tables through the public interface, on a simulated disk.
#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod building;
mod damage;
mod filter;
mod forge;
mod golden;
mod hostile;
mod large_values;
mod model;
mod open_files;
mod reading;
mod salvage;
mod salvage_ends;
mod scrubbing;
mod seeds;
mod support;
mod verifying;
