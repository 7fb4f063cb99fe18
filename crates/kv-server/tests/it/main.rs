//! Tests of the server from outside: bytes in, bytes out.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests touch the outside world, and a failed unwrap is a failed test"
)]

mod busy_clients;
mod client;
mod clocks;
mod codec;
mod config;
mod failing_disk;
mod gate;
mod hardening;
mod operation;
mod process;
mod process_limits;
mod protection;
mod reply_limits;
mod runs;
mod scrub;
mod secrets;
mod wire;
