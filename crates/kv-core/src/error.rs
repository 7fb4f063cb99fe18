//! One error type for the whole engine, sorted by what the caller must do.

use std::io;
use std::sync::Arc;

/// The result of every fallible call of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, one variant per kind of reaction.
///
/// Errors are cheap to clone because one failed sync is reported to every
/// writer of its group.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused. Free space, mend permissions or the
    /// device, then open the database again.
    #[error("{operation} {path}: {source}{}", advice(source))]
    Io {
        /// What was attempted, as a verb: `open`, `append to`, `sync`.
        operation: &'static str,
        /// The file or directory concerned.
        path: String,
        /// The error of the operating system.
        source: Arc<io::Error>,
    },
    /// The disk is full. Nothing was written. Reads and deletes go on; free
    /// space and writing goes on by itself, without a restart.
    #[error(
        "no space left on the disk of {directory}: nothing was written; \
         reads and deletes go on, free some space and writing goes on by itself"
    )]
    NoSpace {
        /// The database directory.
        directory: String,
    },
    /// Stored bytes are not what was written. Restore the file from a backup
    /// or salvage with `kv repair`; nothing was changed.
    #[error("corruption in {file} at offset {offset}: {what}")]
    Corruption {
        /// Name of the damaged file.
        file: String,
        /// Byte offset of the first damaged structure.
        offset: u64,
        /// Which check failed.
        what: String,
    },
    /// The file was written by a newer version or with a feature unknown here.
    #[error("{file}: {what}; open it with a version of kv that knows it")]
    Unsupported {
        /// Name of the file.
        file: String,
        /// What is unknown.
        what: String,
    },
    /// The call cannot be served as asked; the sentence says what to change.
    #[error("{0}")]
    InvalidArgument(String),
    /// A key, value or batch is over its limit. Nothing was written.
    #[error("{what} of {size} bytes is over the limit of {limit} bytes")]
    TooLarge {
        /// `key`, `value` or `batch`.
        what: &'static str,
        /// Size that was asked for, in bytes.
        size: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// Another process or handle has the database open.
    #[error("database {path} is already open{}; stop that process or use another directory",
            .holder_pid.map(|pid| format!(" in process {pid}")).unwrap_or_default())]
    Locked {
        /// The database directory.
        path: String,
        /// Process id of the holder, where it is known.
        holder_pid: Option<u32>,
    },
    /// A key of a conditional batch has changed, or it cannot be proven
    /// unchanged. Nothing was written: read again and retry.
    #[error(
        "conflict: a key of the conditional batch changed since it was read; read again and retry"
    )]
    Conflict,
    /// Too much unfinished work; try again later.
    #[error("busy: {0}; try again later")]
    Busy(String),
    /// An earlier failure made the log's state unknown. The engine only reads
    /// until it is closed and opened again; the outcome of the writes that
    /// were in flight is unknown until then.
    #[error(
        "the engine stopped accepting writes after a failure ({cause}); \
         the outcome of writes in flight is unknown, close the database and open it again"
    )]
    Poisoned {
        /// The first failure, as text.
        cause: String,
    },
    /// The engine was closed.
    #[error("the engine is closed")]
    Closed,
}

impl Error {
    /// Wraps an error of the operating system with what was attempted where.
    pub fn io(operation: &'static str, path: impl Into<String>, source: io::Error) -> Self {
        Error::Io { operation, path: path.into(), source: Arc::new(source) }
    }

    /// Reports damaged bytes.
    pub fn corruption(file: impl Into<String>, offset: u64, what: impl Into<String>) -> Self {
        Error::Corruption { file: file.into(), offset, what: what.into() }
    }

    /// True if the cause is a full disk (`ENOSPC`) or an exhausted quota
    /// (`EDQUOT`): it passes when space is freed. A file over its size limit
    /// (`EFBIG`) is no such case.
    pub fn is_out_of_space(&self) -> bool {
        match self {
            Error::NoSpace { .. } => true,
            Error::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }

    /// True if the process or the system has no file descriptor left: that
    /// passes, and the call may be repeated.
    pub fn is_out_of_descriptors(&self) -> bool {
        const ENFILE: i32 = 23;
        const EMFILE: i32 = 24;
        matches!(self, Error::Io { source, .. }
            if matches!(source.raw_os_error(), Some(ENFILE | EMFILE)))
    }

    /// True if the process or the system has run out of what others give back
    /// by themselves, file descriptors or memory (`ENOMEM`): that passes, and a
    /// call that has changed nothing may be repeated.
    pub fn is_out_of_resources(&self) -> bool {
        const ENOMEM: i32 = 12;
        let is_out_of_memory = matches!(self, Error::Io { source, .. }
            if source.raw_os_error() == Some(ENOMEM));
        is_out_of_memory || self.is_out_of_descriptors()
    }

    /// True if a file or directory does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// What to do about an error of the operating system, where its own words do not
/// tell. One that was made by us says so itself.
fn advice(source: &io::Error) -> &'static str {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    let Some(number) = source.raw_os_error() else { return "" };
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "; give the user of this process its permissions on it back"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "; the file system cannot be written to: look for the reason in the log of the \
             system, check the file system, and mount it for writing again"
        }
        io::ErrorKind::StaleNetworkFileHandle => {
            "; the server of the network file system has forgotten the file: mount it again, \
             or use a local disk"
        }
        io::ErrorKind::FileTooLarge => {
            "; raise the limit of the process for the size of files (ulimit -f), or use a \
             file system that takes larger ones"
        }
        io::ErrorKind::QuotaExceeded => "; free some space of this user or raise its quota",
        io::ErrorKind::OutOfMemory => "; free some memory or raise the limit of the process for it",
        _ if matches!(number, ENFILE | EMFILE) => {
            "; close some connections or raise the limit for open files (ulimit -n)"
        }
        _ => "",
    }
}
