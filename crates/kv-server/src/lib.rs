//! A Redis-protocol server in front of the kv engine: the binary `kv-server`,
//! and the same server to be run inside another program or a test.
//!
//! ```
//! use std::io::{Read, Write};
//!
//! # let directory = tempfile::tempdir().unwrap();
//! let config = kv_server::Config {
//!     listen: "127.0.0.1:0".parse()?, // any free port
//!     data_dir: directory.path().join("data"),
//!     ..kv_server::Config::default()
//! };
//! let server = kv_server::RunningServer::start(config.into())?;
//!
//! let mut client = std::net::TcpStream::connect(server.address())?;
//! client.write_all(b"SET fruit apple\r\nGET fruit\r\nQUIT\r\n")?;
//! let mut replies = String::new();
//! client.read_to_string(&mut replies)?;
//! assert_eq!(replies, "+OK\r\n$5\r\napple\r\n+OK\r\n");
//!
//! server.stop()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! * `resp` is the codec: bytes to requests, replies to bytes.
//! * `command` is the command table and what each command does to data.
//! * `config` is the table of settings and where values come from.
//! * `hardening` is what a program gives up before it starts a server.
//! * `runtime` is everything that has to do with sockets and tasks.
//!
//! What it is not: the engine (kv-engine stores, orders and recovers), and a
//! cluster.
//!
//! Invariants:
//!
//! * A reply leaves only when its write is as durable as configured.
//! * The writes of one command, and of one `EXEC`, are one atomic batch, unless
//!   the command says otherwise (`FLUSHALL`).
//! * A command depends on its arguments, the data, the time and a seed that
//!   the runtime hands it, and on nothing else.
//! * Bytes from a client never cause a panic, and memory follows the bytes
//!   that have arrived, not the lengths that are announced.
#![forbid(unsafe_code)]

mod command;
mod config;
mod hardening;
mod resp;
mod runtime;

pub use config::{
    Config, ConfigError, DEFAULT_CONFIG_FILE, LoadedConfig, Origin, Overrides, Password,
    SandboxMode, json_schema, load as load_config, markdown_table, show_all as show_config,
};
pub use hardening::harden_process;
pub use resp::{
    Args, OwnedArgs, Protocol, ProtocolError, Reply, RequestDecoder, RequestLimits, Requests,
};
pub use runtime::{RunningServer, StartError, raise_descriptor_limit};
