//! Every way in which a configuration can be wrong, each with what to do.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(&'static str),
    /// `CONFIG SET`.
    Command,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => write!(formatter, "{}", path.display()),
            Origin::Environment(name) => write!(formatter, "environment variable {name}"),
            Origin::Flag(name) => write!(formatter, "flag {name}"),
            Origin::Command => write!(formatter, "CONFIG SET"),
        }
    }
}

/// A configuration that the server does not start with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigError {
    /// The file cannot be read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The operating system's words.
        reason: String,
    },
    /// The file is not JSON, or a key is given twice.
    Malformed {
        /// The file.
        file: PathBuf,
        /// What the parser says, with line and column.
        what: String,
    },
    /// No key has this name.
    UnknownKey {
        /// Where it is used.
        origin: Origin,
        /// The name.
        key: String,
        /// The key that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// A key has a value that it cannot have.
    BadValue {
        /// Where it is used.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// The value as it was written; hidden if it is a secret.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// A key that can only be changed by a restart.
    NotLive {
        /// The key.
        key: &'static str,
    },
    /// Other machines could connect without a password.
    NeedsPassword {
        /// The address.
        listen: SocketAddr,
    },
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Unreadable { file, reason } => write!(
                formatter,
                "{}: cannot be read: {reason}; check the path and its permissions",
                file.display()
            ),
            ConfigError::Malformed { file, what } => {
                write!(formatter, "{}: not a valid configuration: {what}", file.display())
            }
            ConfigError::UnknownKey { origin, key, suggestion } => {
                write!(formatter, "{origin}: unknown key {key:?}; ")?;
                match suggestion {
                    Some(known) => write!(formatter, "did you mean {known:?}?"),
                    None => write!(formatter, "the README lists all keys"),
                }
            }
            ConfigError::BadValue { origin, key, value, allowed } => {
                write!(formatter, "{origin}: {key} is {value}; allowed: {allowed}")
            }
            ConfigError::NotLive { key } => {
                write!(formatter, "{key} can only be changed by a restart")
            }
            ConfigError::NeedsPassword { listen } => write!(
                formatter,
                "listen is {listen}, which other machines can reach, and there is no password; \
                 set password (better in KV_PASSWORD than in a file), or listen on 127.0.0.1"
            ),
        }
    }
}
