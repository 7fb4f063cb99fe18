//! The real backend: one directory, opened once.
//!
//! Every file is reached by `openat` relative to the descriptor of the
//! directory, without following links, so nothing that happens to the path
//! later can lead a database elsewhere. Files are created with `O_EXCL` and
//! mode 0600.

mod directory;
mod file;
mod lock;
mod map;
mod reserve;
mod transfer;

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kv_core::{Error, Result};
use parking_lot::Mutex;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::names::Name;
use crate::ports::{DirEntry, DirLock, Env, Fs, ReadFile, WriteFile};
use crate::system::{SystemClock, SystemEntropy};

use file::{RealFile, RealReadFile, RealWriteFile};

/// Flags of every open: no links, no inheritance by child processes, and no
/// waiting on a pipe that somebody has planted.
const OPEN_FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// Read and write for the owner, nothing for anybody else.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A database directory of the operating system.
#[derive(Debug)]
pub struct RealFs {
    path: PathBuf,
    directory: OwnedFd,
    /// Sub-directories with entries that no `sync_dir` has covered yet.
    unsynced_directories: Mutex<BTreeSet<String>>,
}

impl RealFs {
    /// Opens the directory `path`; with `create` it is made first, with mode
    /// 0700 and together with missing parents, where it does not exist.
    ///
    /// # Errors
    /// `Io` of kind `NotFound` if it does not exist, `NotADirectory` if it is
    /// a file, `PermissionDenied` or `ReadOnlyFilesystem` if files cannot be
    /// created in it.
    pub fn open(path: &Path, create: bool) -> Result<RealFs> {
        if create {
            directory::create_with_parents(path)?;
        }
        let directory = directory::open_writable(path)?;
        Ok(RealFs {
            path: path.to_path_buf(),
            directory,
            unsynced_directories: Mutex::new(BTreeSet::new()),
        })
    }

    fn path_of(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    fn error(&self, operation: &'static str, name: &str, errno: Errno) -> Error {
        Error::io(operation, self.path_of(name), describe_errno(errno))
    }

    /// The directory that holds `name`, and the component to use in it.
    fn resolve<'a>(&self, operation: &'static str, name: &'a str) -> Result<(Parent<'_>, &'a str)> {
        let parsed = Name::parse(name)?;
        let parent = match parsed.directory {
            None => Parent::Root(self.directory.as_fd()),
            Some(sub) => Parent::Sub(
                directory::open_at(self.directory.as_fd(), sub)
                    .map_err(|errno| self.error(operation, name, errno))?,
            ),
        };
        Ok((parent, parsed.file))
    }

    /// Remembers that the sub-directory of `name`, if any, needs a sync.
    fn note_change(&self, name: &str) {
        if let Ok(Name { directory: Some(sub), .. }) = Name::parse(name) {
            self.unsynced_directories.lock().insert(sub.to_owned());
        }
    }
}

/// A directory that was open already or was opened for one call.
enum Parent<'a> {
    Root(BorrowedFd<'a>),
    Sub(OwnedFd),
}

impl AsFd for Parent<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Parent::Root(directory) => *directory,
            Parent::Sub(directory) => directory.as_fd(),
        }
    }
}

impl Fs for RealFs {
    fn describe(&self) -> String {
        self.path.display().to_string()
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>> {
        let (parent, leaf) = self.resolve("create", name)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let descriptor =
            open_file(&parent, leaf, flags).map_err(|errno| self.error("create", name, errno))?;
        self.note_change(name);
        Ok(Box::new(RealWriteFile::new(RealFile::new(descriptor, self.path_of(name)))))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn ReadFile>> {
        let (parent, leaf) = self.resolve("open", name)?;
        let descriptor = open_file(&parent, leaf, OFlags::RDONLY)
            .map_err(|errno| self.error("open", name, errno))?;
        let file = RealFile::new(descriptor, self.path_of(name));
        let status = file.regular_status("open")?;
        Ok(Arc::new(RealReadFile::new(file, status.st_size as u64)))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (from_parent, from_leaf) = self.resolve("rename", from)?;
        let (to_parent, to_leaf) = self.resolve("rename", to)?;
        let status = rustix::fs::statat(&from_parent, from_leaf, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.error("rename", from, errno))?;
        if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
            return Err(self.error("rename", from, Errno::ISDIR));
        }
        rustix::fs::renameat(from_parent, from_leaf, to_parent, to_leaf).map_err(|errno| {
            // What Linux says of a file renamed to the directory it is in.
            let errno = if errno == Errno::NOTEMPTY { Errno::ISDIR } else { errno };
            self.error("rename", from, errno)
        })?;
        self.note_change(from);
        self.note_change(to);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        let (parent, leaf) = self.resolve("remove", name)?;
        rustix::fs::unlinkat(parent, leaf, AtFlags::empty())
            .map_err(|errno| self.error("remove", name, errno))?;
        self.note_change(name);
        Ok(())
    }

    fn truncate(&self, name: &str, len: u64) -> Result<()> {
        let (parent, leaf) = self.resolve("truncate", name)?;
        let descriptor = open_file(&parent, leaf, OFlags::WRONLY)
            .map_err(|errno| self.error("truncate", name, errno))?;
        RealFile::new(descriptor, self.path_of(name)).cut_and_sync(len)
    }

    fn create_dir(&self, name: &str) -> Result<()> {
        let component = Name::parse_component(name)?;
        directory::create_at(self.directory.as_fd(), component)
            .map_err(|errno| self.error("create directory", name, errno))
    }

    fn list(&self) -> Result<Vec<DirEntry>> {
        directory::list(self.directory.as_fd()).map_err(|errno| self.error("list", "", errno))
    }

    fn sync_dir(&self) -> Result<()> {
        // Sub-directories first: a file moved into one is then never durable
        // in neither place. The lock is held so that a second caller cannot
        // return before the sync that covers its own changes.
        let mut unsynced = self.unsynced_directories.lock();
        for sub in unsynced.iter() {
            directory::open_at(self.directory.as_fd(), sub)
                .and_then(rustix::fs::fsync)
                .map_err(|errno| self.error("sync directory", sub, errno))?;
        }
        unsynced.clear();
        drop(unsynced);
        rustix::fs::fsync(&self.directory).map_err(|errno| self.error("sync directory", "", errno))
    }

    fn lock(&self, name: &str) -> Result<Box<dyn DirLock>> {
        let component = Name::parse_component(name)?;
        let flags = OFlags::RDWR | OFlags::CREATE;
        let descriptor = open_file(&self.directory, component, flags)
            .map_err(|errno| self.error("lock", name, errno))?;
        let file = RealFile::new(descriptor, self.path_of(name));
        Ok(Box::new(lock::RealLock::take(file, self.describe())?))
    }

    fn free_space(&self) -> Result<u64> {
        let status = rustix::fs::fstatvfs(&self.directory)
            .map_err(|errno| self.error("read the free space of", "", errno))?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }

    fn reserve(&self, name: &str, bytes: u64) -> Result<()> {
        reserve::reserve(self, name, bytes)
    }
}

impl Env {
    /// The operating system, with the database directory `dir`; `create` makes
    /// the directory where it does not exist.
    ///
    /// # Errors
    /// As [`RealFs::open`].
    pub fn real(dir: impl AsRef<Path>, create: bool) -> Result<Env> {
        Ok(Env {
            fs: Arc::new(RealFs::open(dir.as_ref(), create)?),
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(SystemEntropy),
        })
    }
}

/// Opens, or with `CREATE` makes, a file of `parent`.
fn open_file(parent: impl AsFd, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::io::retry_on_intr(|| {
        rustix::fs::openat(parent.as_fd(), name, OPEN_FLAGS | flags, FILE_MODE)
    })
}

/// The error of the operating system, in words where its own would mislead.
fn describe_errno(errno: Errno) -> std::io::Error {
    if errno == Errno::LOOP {
        return std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "it is a symbolic link, and links are not followed",
        );
    }
    errno.into()
}

/// Size of a memory page in bytes.
pub fn page_size() -> usize {
    rustix::param::page_size()
}
