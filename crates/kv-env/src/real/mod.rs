//! The real backend: one directory, opened once.
//!
//! Every file is reached by `openat` relative to the descriptor of the
//! directory, without following links, so nothing that happens to the path
//! later can lead a database elsewhere. A name has two components at most, and
//! each is opened by itself with `O_NOFOLLOW`: that confines as `openat2` with
//! `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS` does, on every kernel. Files are
//! created with `O_EXCL` and mode 0600, whatever the umask; what is found is
//! checked before it is used (see [`trust`]).

mod directory;
mod file;
mod kind;
mod lock;
mod map;
mod reserve;
mod transfer;
mod trust;

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kv_core::{Error, Result};
use parking_lot::Mutex;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::names::Name;
use crate::ports::{DirEntry, DirLock, Env, Fs, ReadFile, WriteFile};
use crate::system::{SystemClock, SystemEntropy};

use file::{RealFile, RealReadFile, RealWriteFile};
use kind::FileSystemKind;
use trust::Trust;

/// Flags of every open: no links, no inheritance by child processes, and no
/// waiting on a pipe that somebody has planted.
const OPEN_FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// Read and write for the owner, nothing for anybody else.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// How to open a database directory of the operating system. The default opens
/// one that exists, on a disk of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealOptions {
    /// Makes the directory, with mode 0700 and together with missing parents,
    /// where it does not exist.
    pub create_if_missing: bool,
    /// Accepts a network file system. Whether its locks keep other machines
    /// out, and whether its syncs reach a disk, is then for the caller to know.
    pub allow_network_file_system: bool,
    /// For looking at files without opening a database: every call that would
    /// change, lock or sync something fails. Nothing is lost then by reading
    /// what others can write to, so any directory and any regular file is
    /// accepted, on read-only and network file systems too.
    pub read_only: bool,
}

/// A database directory of the operating system.
#[derive(Debug)]
pub struct RealFs {
    path: PathBuf,
    directory: OwnedFd,
    /// `None` if it was opened for reading only.
    trust: Option<Trust>,
    kind: FileSystemKind,
    /// Sub-directories with entries that no `sync_dir` has covered yet.
    unsynced_directories: Mutex<BTreeSet<String>>,
}

impl RealFs {
    /// As [`with_options`](RealFs::with_options), on a disk of this machine;
    /// `create` makes the directory where it does not exist.
    pub fn open(path: &Path, create: bool) -> Result<RealFs> {
        let options = RealOptions { create_if_missing: create, ..RealOptions::default() };
        RealFs::with_options(path, options)
    }

    /// Opens the directory `path`.
    ///
    /// # Errors
    /// `Io` of kind `NotFound` if it does not exist, `NotADirectory` if it is
    /// a file, `PermissionDenied` or `ReadOnlyFilesystem` if files cannot be
    /// created in it, `PermissionDenied` too if others than its owner can
    /// write to it or it belongs to another user, `Unsupported` if it is on a
    /// network file system. The last ones say what to do.
    pub fn with_options(path: &Path, options: RealOptions) -> Result<RealFs> {
        if options.create_if_missing && !options.read_only {
            directory::create_with_parents(path)?;
        }
        let directory = directory::open(path)?;
        let kind = FileSystemKind::of(&directory)
            .map_err(|errno| directory::error("open directory", path, errno))?;
        let trust = if options.read_only {
            None
        } else {
            directory::check_writable(&directory, path)?;
            check_kind(kind, options)
                .map_err(|error| Error::io("open directory", path.display().to_string(), error))?;
            Some(Trust::in_directory(&directory, &path.display().to_string())?)
        };
        let unsynced_directories = Mutex::new(BTreeSet::new());
        Ok(RealFs { path: path.to_path_buf(), directory, trust, kind, unsynced_directories })
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
            Some(sub) => {
                let opened = directory::open_at(self.directory.as_fd(), sub)
                    .map_err(|errno| self.error(operation, name, errno))?;
                if let Some(trust) = &self.trust {
                    trust.check_directory(&opened, &self.path_of(sub))?;
                }
                Parent::Sub(opened)
            }
        };
        Ok((parent, parsed.file))
    }

    /// As [`resolve`](RealFs::resolve), for a call that changes something.
    fn resolve_to_change<'a>(
        &self,
        operation: &'static str,
        name: &'a str,
    ) -> Result<(Parent<'_>, &'a str)> {
        self.check_not_read_only(operation, name)?;
        self.resolve(operation, name)
    }

    fn check_not_read_only(&self, operation: &'static str, name: &str) -> Result<()> {
        if self.trust.is_some() {
            return Ok(());
        }
        let kind = std::io::ErrorKind::ReadOnlyFilesystem;
        let error = std::io::Error::new(kind, "its directory was opened for reading only");
        Err(Error::io(operation, self.path_of(name), error))
    }

    /// The status of a file that may be used.
    fn check_file(&self, operation: &'static str, file: &RealFile) -> Result<Stat> {
        match &self.trust {
            Some(trust) => trust.check_file(operation, file),
            None => file.regular_status(operation),
        }
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
        let (parent, leaf) = self.resolve_to_change("create", name)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let descriptor =
            open_file(&parent, leaf, flags).map_err(|errno| self.error("create", name, errno))?;
        self.note_change(name);
        let file = RealFile::new(descriptor, self.path_of(name));
        file.set_mode("create", FILE_MODE)?;
        Ok(Box::new(RealWriteFile::new(file)))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn ReadFile>> {
        let (parent, leaf) = self.resolve("open", name)?;
        let descriptor = open_file(&parent, leaf, OFlags::RDONLY)
            .map_err(|errno| self.error("open", name, errno))?;
        let file = RealFile::new(descriptor, self.path_of(name));
        let status = self.check_file("open", &file)?;
        Ok(Arc::new(RealReadFile::new(file, status.st_size as u64)))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (from_parent, from_leaf) = self.resolve_to_change("rename", from)?;
        let (to_parent, to_leaf) = self.resolve_to_change("rename", to)?;
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
        let (parent, leaf) = self.resolve_to_change("remove", name)?;
        rustix::fs::unlinkat(parent, leaf, AtFlags::empty())
            .map_err(|errno| self.error("remove", name, errno))?;
        self.note_change(name);
        Ok(())
    }

    fn truncate(&self, name: &str, len: u64) -> Result<()> {
        let (parent, leaf) = self.resolve_to_change("truncate", name)?;
        let descriptor = open_file(&parent, leaf, OFlags::WRONLY)
            .map_err(|errno| self.error("truncate", name, errno))?;
        let file = RealFile::new(descriptor, self.path_of(name));
        let status = self.check_file("truncate", &file)?;
        file.cut_and_sync(len, &status)
    }

    fn create_dir(&self, name: &str) -> Result<()> {
        let component = Name::parse_component(name)?;
        self.check_not_read_only("create directory", name)?;
        directory::create_at(self.directory.as_fd(), component)
            .map_err(|errno| self.error("create directory", name, errno))
    }

    fn list(&self) -> Result<Vec<DirEntry>> {
        directory::list(self.directory.as_fd()).map_err(|errno| self.error("list", "", errno))
    }

    fn sync_dir(&self) -> Result<()> {
        self.check_not_read_only("sync directory", "")?;
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
        self.check_not_read_only("lock", name)?;
        let flags = OFlags::RDWR | OFlags::CREATE;
        let descriptor = open_file(&self.directory, component, flags)
            .map_err(|errno| self.error("lock", name, errno))?;
        let file = RealFile::new(descriptor, self.path_of(name));
        self.check_file("lock", &file)?;
        file.set_mode("lock", FILE_MODE)?;
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

    fn trusts_maps(&self) -> bool {
        self.kind == FileSystemKind::Local
    }
}

impl Env {
    /// The operating system, with the database directory `dir`; `create` makes
    /// the directory where it does not exist.
    ///
    /// # Errors
    /// As [`RealFs::with_options`].
    pub fn real(dir: impl AsRef<Path>, create: bool) -> Result<Env> {
        let options = RealOptions { create_if_missing: create, ..RealOptions::default() };
        Env::real_with(dir, options)
    }

    /// The operating system, with the database directory `dir`.
    ///
    /// # Errors
    /// As [`RealFs::with_options`].
    pub fn real_with(dir: impl AsRef<Path>, options: RealOptions) -> Result<Env> {
        Ok(Env {
            fs: Arc::new(RealFs::with_options(dir.as_ref(), options)?),
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(SystemEntropy),
        })
    }
}

/// Refuses a network file system unless the options accept it.
fn check_kind(kind: FileSystemKind, options: RealOptions) -> std::io::Result<()> {
    match kind {
        FileSystemKind::Network(name) if !options.allow_network_file_system => {
            let text = format!(
                "it is on a network file system ({name}), whose locks and syncs may promise more \
                 than they keep; use a local disk, or allow network file systems in the options"
            );
            Err(std::io::Error::new(std::io::ErrorKind::Unsupported, text))
        }
        _ => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_need_an_option() {
        let network = FileSystemKind::Network("NFS");
        let refused = check_kind(network, RealOptions::default()).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::Unsupported);
        assert!(refused.to_string().contains("NFS"), "{refused}");
        let allowed = RealOptions { allow_network_file_system: true, ..RealOptions::default() };
        check_kind(network, allowed).unwrap();
        for kind in [FileSystemKind::Local, FileSystemKind::UserSpace] {
            check_kind(kind, RealOptions::default()).unwrap();
        }
    }
}
