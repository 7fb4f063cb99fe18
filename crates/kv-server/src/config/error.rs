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
    /// A variable of the environment is no text.
    NotText {
        /// Its name.
        name: String,
    },
    /// A key that can only be changed by a restart.
    NotLive {
        /// The key.
        key: &'static str,
    },
    /// The file that holds the password cannot be used.
    BadPasswordFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// A password is given, and a file with one as well.
    TwoPasswords {
        /// The file.
        file: PathBuf,
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
            ConfigError::NotText { name } => write!(
                formatter,
                "environment variable {name}: the value is not UTF-8 text; set it to one that is"
            ),
            ConfigError::NotLive { key } => {
                write!(formatter, "{key} can only be changed by a restart")
            }
            ConfigError::BadPasswordFile { file, what } => {
                write!(formatter, "password_file {}: {what}", file.display())
            }
            ConfigError::TwoPasswords { file } => write!(
                formatter,
                "both password and password_file ({}) are set, and one of them would be ignored; \
                 remove one",
                file.display()
            ),
            ConfigError::NeedsPassword { listen } => write!(
                formatter,
                "listen is {listen}, which other machines can reach, and there is no password; \
                 set password_file (a file of mode 0600) or password, or listen on 127.0.0.1"
            ),
        }
    }
}

/// The operating system's words without the error number.
pub(super) fn describe(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
