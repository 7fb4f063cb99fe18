//! Tests of the commands on a map in place of the engine.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read their scripts, and a failed unwrap is a failed test"
)]

mod commands_page;
mod conflicts;
mod driver;
mod floats;
mod limits;
mod maintenance;
mod overlay;
mod patterns;
mod protocol_text;
mod scanning;
mod scripts;
mod store;
mod table;
mod test_server;
