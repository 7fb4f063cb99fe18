//! The running server: sockets, runs, clients, background tasks.
//!
//! The path of a request: `listener` takes the connection in, `connection`
//! collects requests, `run` executes them on a `view` of the engine and
//! commits, `output` carries the replies back.

mod auth_log;
mod clients;
mod clock;
mod connection;
mod counters;
mod error;
mod handle;
mod health;
mod info;
mod jobs;
mod listener;
mod log;
mod memory;
mod output;
mod per_address;
mod process;
mod run;
mod server;
mod settings;
mod stall;
mod start;
mod sweep;
mod view;
mod watchdog;
mod wire;

pub use error::StartError;
pub use process::raise_descriptor_limit;
pub use start::RunningServer;
