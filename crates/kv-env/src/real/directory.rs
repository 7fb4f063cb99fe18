//! Opening, creating and listing directories.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use kv_core::{Error, Result};
use rustix::fs::{Access, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::describe_errno;
use crate::ports::DirEntry;

const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Everything for the owner, nothing for anybody else. It is set again after
/// creation, because the process's umask may have taken some of it away.
const DIRECTORY_MODE: Mode = Mode::RWXU;

pub(super) fn error(operation: &'static str, path: &Path, errno: Errno) -> Error {
    Error::io(operation, path.display().to_string(), describe_errno(errno))
}

/// Opens the database directory. The path itself may lead through links: the
/// user has named it.
pub(super) fn open(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, DIRECTORY_FLAGS, Mode::empty())
        .map_err(|errno| error("open directory", path, errno))
}

/// Makes sure that files can be made in `directory`.
pub(super) fn check_writable(directory: &OwnedFd, path: &Path) -> Result<()> {
    rustix::fs::accessat(directory, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty())
        .map_err(|errno| error("write to directory", path, errno))
}

/// Creates `path` and its missing parents, and makes their entries durable:
/// a database must not vanish with its directory at a power cut.
pub(super) fn create_with_parents(path: &Path) -> Result<()> {
    for directory in not_surely_durable(path).into_iter().rev() {
        match rustix::fs::mkdir(directory, DIRECTORY_MODE) {
            Ok(()) => {
                rustix::fs::chmod(directory, DIRECTORY_MODE)
                    .map_err(|errno| error("create directory", directory, errno))?;
                sync_parent(directory, &[])?;
            }
            // Of a parent that may not be read its owner has made the entry durable.
            Err(Errno::EXIST) => sync_parent(directory, &[Errno::ACCESS])?,
            Err(errno) => return Err(error("create directory", directory, errno)),
        }
    }
    Ok(())
}

/// `path` and its ancestors as far as they are missing, and the one that is there
/// if it is empty: a process that was killed between a creation and its sync has
/// left that. Each is synced before the next is created, so no other can be.
fn not_surely_durable(path: &Path) -> Vec<&Path> {
    let mut directories = Vec::new();
    for ancestor in path.ancestors() {
        if ancestor.as_os_str().is_empty() || (ancestor.exists() && !is_empty(ancestor)) {
            break;
        }
        directories.push(ancestor);
        if ancestor.exists() {
            break;
        }
    }
    directories
}

fn is_empty(directory: &Path) -> bool {
    let Ok(opened) = rustix::fs::open(directory, DIRECTORY_FLAGS, Mode::empty()) else {
        return false;
    };
    let is_entry = |name: &CStr| !matches!(name.to_bytes(), b"." | b"..");
    Dir::read_from(opened).is_ok_and(|mut entries| {
        !entries.any(|entry| entry.is_ok_and(|entry| is_entry(entry.file_name())))
    })
}

/// Errors of the `tolerated` kinds count for a success.
fn sync_parent(directory: &Path, tolerated: &[Errno]) -> Result<()> {
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let synced =
        rustix::fs::open(&parent, DIRECTORY_FLAGS, Mode::empty()).and_then(rustix::fs::fsync);
    match synced {
        Err(errno) if !tolerated.contains(&errno) => Err(error("sync directory", &parent, errno)),
        _ => Ok(()),
    }
}

/// Opens the sub-directory `name`, which must not be a link.
pub(super) fn open_at(root: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(root, name, DIRECTORY_FLAGS | OFlags::NOFOLLOW, Mode::empty())
}

/// Creates the sub-directory `name` unless it exists.
pub(super) fn create_at(root: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    match rustix::fs::mkdirat(root, name, DIRECTORY_MODE) {
        Ok(()) => rustix::fs::chmodat(root, name, DIRECTORY_MODE, AtFlags::empty()),
        Err(Errno::EXIST) => {
            let status = rustix::fs::statat(root, name, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(status.st_mode) {
                FileType::Directory => Ok(()),
                _ => Err(Errno::EXIST),
            }
        }
        other => other,
    }
}

/// All entries of a directory, sorted by name.
pub(super) fn list(root: BorrowedFd<'_>) -> Result<Vec<DirEntry>, Errno> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(root)? {
        let entry = entry?;
        if let Some(entry) = describe_entry(root.as_fd(), entry.file_name())? {
            entries.push(entry);
        }
    }
    entries.sort_by(|left: &DirEntry, right| left.name.cmp(&right.name));
    Ok(entries)
}

fn describe_entry(root: BorrowedFd<'_>, name: &CStr) -> Result<Option<DirEntry>, Errno> {
    if matches!(name.to_bytes(), b"." | b"..") {
        return Ok(None);
    }
    let status = match rustix::fs::statat(root, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(status) => status,
        // Removed since the directory was read.
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    // A name that is no text is none of ours; nobody can ask for it by name.
    let is_regular_file =
        FileType::from_raw_mode(status.st_mode) == FileType::RegularFile && name.to_str().is_ok();
    Ok(Some(DirEntry {
        name: name.to_string_lossy().into_owned(),
        len: if is_regular_file { status.st_size as u64 } else { 0 },
        is_regular_file,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_a_killed_process_has_left_unsynced_is_synced_by_the_next() {
        let root = tempfile::tempdir().unwrap();
        let (parent, path) = (root.path().join("parent"), root.path().join("parent/database"));
        // tempfile makes the root, which is empty as well.
        assert_eq!(not_surely_durable(&path), [&path, &parent, root.path()]);
        rustix::fs::mkdir(&parent, DIRECTORY_MODE).unwrap();
        assert_eq!(not_surely_durable(&path), [&path, &parent]);
        rustix::fs::mkdir(&path, DIRECTORY_MODE).unwrap();
        assert_eq!(not_surely_durable(&path), [&path]);
        create_with_parents(&path).unwrap();
        rustix::fs::mkdir(path.join("quarantine"), DIRECTORY_MODE).unwrap();
        assert!(not_surely_durable(&path).is_empty());
    }
}
