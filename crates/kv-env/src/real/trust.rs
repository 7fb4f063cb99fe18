//! Which directories and files of the operating system are trusted.
//!
//! Whoever else can write to a database can make it say anything, and a second
//! name of a log is a second way to write to it. So a directory or file is
//! refused, with the command that mends it, unless
//!
//! * it belongs to the user of this process. For the superuser the directory
//!   may belong to anybody, and files to that user as well: tools run by the
//!   superuser work on the database of a service.
//! * nobody but its owner can write to it.
//! * a file that can still be written has one name. A sealed one may have
//!   more, as checkpoints made of hard links need it: its bytes never change.

use std::io;
use std::os::fd::AsFd;

use kv_core::{Error, Result};
use rustix::fs::{Mode, Stat};
use rustix::io::Errno;

use super::describe_errno;
use super::file::{RealFile, WRITE_BITS};

/// Permission to write for others than the owner.
const FOREIGN_WRITE_BITS: Mode = Mode::WGRP.union(Mode::WOTH);

/// The users whose files are trusted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trust {
    process: u32,
    directory: u32,
}

impl Trust {
    /// Trusts the database directory that was opened as `path`, or refuses it.
    pub(super) fn in_directory(directory: impl AsFd, path: &str) -> Result<Trust> {
        let status = status_of_directory(directory, path)?;
        let process = rustix::process::geteuid();
        let trust = Trust { process: process.as_raw(), directory: status.st_uid };
        let owner_is_fine = process.is_root() || status.st_uid == process.as_raw();
        let checked = if owner_is_fine { Ok(()) } else { Err(trust.foreign_owner(&status, path)) };
        checked
            .and_then(|()| check_writers(&status, path))
            .map_err(|refusal| Error::io("open directory", path, refusal))?;
        Ok(trust)
    }

    /// Checks a sub-directory.
    pub(super) fn check_directory(&self, directory: impl AsFd, path: &str) -> Result<()> {
        let status = status_of_directory(directory, path)?;
        self.check_owner(&status, path)
            .and_then(|()| check_writers(&status, path))
            .map_err(|refusal| Error::io("open directory", path, refusal))
    }

    /// Checks that `file` is a regular file to be trusted.
    pub(super) fn check_file(&self, operation: &'static str, file: &RealFile) -> Result<Stat> {
        let status = file.regular_status(operation)?;
        self.check_owner(&status, file.path())
            .and_then(|()| check_writers(&status, file.path()))
            .and_then(|()| check_names(&status, file.path()))
            .map_err(|refusal| file.error(operation, refusal))?;
        Ok(status)
    }

    fn check_owner(&self, status: &Stat, path: &str) -> io::Result<()> {
        // For all but the superuser the two are the same.
        if [self.process, self.directory].contains(&status.st_uid) {
            return Ok(());
        }
        Err(self.foreign_owner(status, path))
    }

    fn foreign_owner(&self, status: &Stat, path: &str) -> io::Error {
        let (owner, process) = (status.st_uid, self.process);
        refusal(
            io::ErrorKind::PermissionDenied,
            format!(
                "it belongs to user {owner} and this process runs as user {process}; if its \
                 content can be trusted, run `chown {process} '{path}'`"
            ),
        )
    }
}

fn status_of_directory(directory: impl AsFd, path: &str) -> Result<Stat> {
    rustix::fs::fstat(directory)
        .map_err(|errno: Errno| Error::io("open directory", path, describe_errno(errno)))
}

fn check_writers(status: &Stat, path: &str) -> io::Result<()> {
    let mode = Mode::from_raw_mode(status.st_mode);
    if !mode.intersects(FOREIGN_WRITE_BITS) {
        return Ok(());
    }
    Err(refusal(
        io::ErrorKind::PermissionDenied,
        format!(
            "others than its owner can write to it (mode {:04o}); if its content can be \
             trusted, run `chmod go-w '{path}'`",
            mode.as_raw_mode()
        ),
    ))
}

fn check_names(status: &Stat, path: &str) -> io::Result<()> {
    let is_sealed = !Mode::from_raw_mode(status.st_mode).intersects(WRITE_BITS);
    // No name at all: it was removed since it was opened.
    if is_sealed || status.st_nlink <= 1 {
        return Ok(());
    }
    Err(refusal(
        io::ErrorKind::InvalidInput,
        format!(
            "it has {} names and can be written under each of them; keep one, which \
             `cp '{path}' COPY && mv COPY '{path}'` does",
            status.st_nlink
        ),
    ))
}

fn refusal(kind: io::ErrorKind, text: String) -> io::Error {
    io::Error::new(kind, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A status with these facts.
    fn status(uid: u32, mode: u32, names: u32) -> Stat {
        let mut status = rustix::fs::stat("/").unwrap();
        status.st_uid = uid;
        status.st_mode = mode;
        status.st_nlink = names.into();
        status
    }

    #[test]
    fn owners_are_the_process_and_for_the_superuser_that_of_the_directory() {
        for (process, directory, owner, is_trusted) in [
            (1000, 1000, 1000, true),
            (1000, 1000, 0, false),
            (1000, 1000, 1001, false),
            (0, 1000, 0, true),
            (0, 1000, 1000, true),
            (0, 1000, 1001, false),
        ] {
            let trust = Trust { process, directory };
            let checked = trust.check_owner(&status(owner, 0o600, 1), "wal.log");
            assert_eq!(checked.is_ok(), is_trusted, "{trust:?} {owner}");
            if let Err(error) = checked {
                assert!(error.to_string().contains(&format!("`chown {process} 'wal.log'`")));
            }
        }
    }

    #[test]
    fn nobody_but_the_owner_may_write() {
        for (mode, is_trusted) in
            [(0o600, true), (0o644, true), (0o400, true), (0o660, false), (0o602, false)]
        {
            let checked = check_writers(&status(0, 0o100_000 | mode, 1), "a b");
            assert_eq!(checked.is_ok(), is_trusted, "{mode:o}");
            if let Err(error) = checked {
                let text = error.to_string();
                assert!(text.contains(&format!("mode {mode:04o}")), "{text}");
                assert!(text.contains("`chmod go-w 'a b'`"), "{text}");
            }
        }
    }

    #[test]
    fn only_sealed_files_have_several_names() {
        for (mode, names, is_trusted) in
            [(0o600, 0, true), (0o600, 1, true), (0o600, 2, false), (0o400, 2, true)]
        {
            let checked = check_names(&status(0, 0o100_000 | mode, names), "wal.log");
            assert_eq!(checked.is_ok(), is_trusted, "{mode:o} {names}");
        }
    }
}
