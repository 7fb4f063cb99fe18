//! Why a server did not start, or ended badly.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::config::ConfigError;

/// A start that failed. The text says what to do.
#[derive(Debug)]
pub enum StartError {
    /// The configuration is wrong.
    Config(ConfigError),
    /// The address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        reason: io::Error,
    },
    /// Root would serve other machines.
    Root {
        /// The address that they can reach.
        address: SocketAddr,
    },
    /// A part of the sandbox is not to be had, and it is required.
    Sandbox {
        /// The part.
        part: &'static str,
        /// Why.
        reason: String,
    },
    /// The database cannot be opened or closed.
    Engine(kv_engine::Error),
    /// Threads, timers or signals are not to be had.
    Runtime(io::Error),
}

impl StartError {
    /// The exit code of the process: 2 for the configuration, 3 for the
    /// operating system, 4 for a database that is damaged or too new, 5 for
    /// one that is open elsewhere.
    pub fn exit_code(&self) -> u8 {
        match self {
            StartError::Config(_) | StartError::Root { .. } => 2,
            StartError::Listen { .. } | StartError::Sandbox { .. } | StartError::Runtime(_) => 3,
            StartError::Engine(error) => match error {
                kv_engine::Error::InvalidArgument(_) => 2,
                kv_engine::Error::Corruption { .. } | kv_engine::Error::Unsupported { .. } => 4,
                kv_engine::Error::Locked { .. } => 5,
                _ => 3,
            },
        }
    }
}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> StartError {
        StartError::Config(error)
    }
}

impl From<kv_engine::Error> for StartError {
    fn from(error: kv_engine::Error) -> StartError {
        StartError::Engine(error)
    }
}

impl std::error::Error for StartError {}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(error) => write!(formatter, "{error}"),
            StartError::Listen { address, reason } => {
                write!(formatter, "cannot listen on {address}: {reason}; ")?;
                formatter.write_str(match reason.kind() {
                    io::ErrorKind::AddrInUse => "stop the other program or use another port",
                    io::ErrorKind::PermissionDenied => "use a port from 1024 on",
                    _ => "use an address of this machine",
                })
            }
            StartError::Root { address } => write!(
                formatter,
                "root does not serve {address}, which other machines can reach; start the server \
                 as a user of its own, or set allow_root if it has to be root"
            ),
            StartError::Sandbox { part, reason } => write!(
                formatter,
                "sandbox is required, and there is none for {part}: {reason}; set it to \
                 best_effort to start without"
            ),
            StartError::Engine(error) => write!(formatter, "{error}"),
            StartError::Runtime(error) => write!(formatter, "the system has no more room: {error}"),
        }
    }
}
