//! The record log from outside.
#![allow(clippy::unwrap_used, reason = "a failing test panics")]

mod crashes;
mod cut_short;
mod cuts;
mod flips;
mod forgery;
mod golden;
mod hostile;
mod round_trip;
mod salvage;
mod scrubbing;
mod support;
mod tears;
mod writer;
