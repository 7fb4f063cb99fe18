//! The record log from outside.

mod crashes;
mod cuts;
mod flips;
mod forgery;
mod golden;
mod hostile;
mod round_trip;
mod support;
mod tears;
mod writer;
