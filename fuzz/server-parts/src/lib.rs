//! The parts of kv-server that need no socket, compiled once more so that a
//! fuzz target can reach what the server keeps to itself: the commands on a
//! map in place of the engine, and the pattern matcher.
//!
//! The sources are the server's own, and so are the map and the driver, which
//! its tests use. Nothing of tokio is built.
#![forbid(unsafe_code)]
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "sources of another crate, of which only a part is used here"
)]

#[path = "../../../crates/kv-server/src/command/mod.rs"]
mod command;
#[path = "../../../crates/kv-server/src/config/mod.rs"]
mod config;
mod connection;
mod pattern;
#[path = "../../../crates/kv-server/src/resp/mod.rs"]
mod resp;

pub use config::{Config, ConfigError, Overrides, load as load_config, show_all as show_config};
pub use connection::{Answers, Connection};
pub use pattern::{Matched, matches};
pub use resp::{OwnedArgs, Protocol, ProtocolError, Reply, RequestDecoder, RequestLimits};
