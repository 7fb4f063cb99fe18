//! The lock that keeps a second process, and a second handle of this process,
//! out of a database directory.

use std::collections::BTreeSet;

use kv_core::{Error, Result};
use parking_lot::Mutex;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::file::RealFile;
use crate::ports::DirLock;

/// Device and inode of a file: its identity, whatever path led to it.
type FileIdentity = (u64, u64);

/// Lock files that this process holds. `flock` alone would do on local file
/// systems; some network file systems turn it into a lock of the whole
/// process, which admits a second handle.
static HELD: Mutex<BTreeSet<FileIdentity>> = Mutex::new(BTreeSet::new());

/// More digits than any process id has.
const MAX_PID_TEXT_BYTES: usize = 20;

/// A held lock file. Dropping it releases the lock; the file stays, for
/// removing it would race with the next holder.
pub(super) struct RealLock {
    file: RealFile,
    identity: FileIdentity,
}

impl RealLock {
    pub(super) fn take(file: RealFile, directory: String) -> Result<RealLock> {
        let status = file.regular_status("lock")?;
        let identity = (status.st_dev, status.st_ino);
        if !HELD.lock().insert(identity) {
            return Err(Error::Locked { path: directory, holder_pid: Some(std::process::id()) });
        }
        // From here on dropping the value undoes the registration.
        let lock = RealLock { file, identity };
        let file = &lock.file;
        match rustix::fs::flock(file.descriptor(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(Error::Locked { path: directory, holder_pid: read_pid(file) });
            }
            Err(errno) => return Err(file.error("lock", errno.into())),
        }
        let text = format!("{}\n", std::process::id());
        // In this order a contender never finds the file empty.
        file.write_at("write the process id to", text.as_bytes(), 0)?;
        file.set_len(text.len() as u64)?;
        Ok(lock)
    }
}

impl DirLock for RealLock {}

impl Drop for RealLock {
    fn drop(&mut self) {
        // Explicitly, because a child process between its fork and its exec
        // shares the lock. Closing the descriptor would leave it to the child.
        let _ = rustix::fs::flock(self.file.descriptor(), FlockOperation::Unlock);
        HELD.lock().remove(&self.identity);
    }
}

/// The process id in a lock file, if it holds one.
fn read_pid(file: &RealFile) -> Option<u32> {
    let mut text = [0; MAX_PID_TEXT_BYTES];
    let len = file.read_at(0, &mut text).ok()?;
    std::str::from_utf8(&text[..len]).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, Mode, OFlags};

    use super::*;

    #[test]
    fn a_registered_file_is_refused_even_where_flock_would_grant_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("LOCK");
        let open = || {
            let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
            let descriptor = rustix::fs::openat(CWD, &path, flags, Mode::RUSR).unwrap();
            RealFile::new(descriptor, "LOCK".to_owned())
        };
        let status = open().regular_status("lock").unwrap();
        let identity = (status.st_dev, status.st_ino);
        HELD.lock().insert(identity);
        let refused = RealLock::take(open(), "directory".to_owned()).err();
        assert!(matches!(refused, Some(Error::Locked { holder_pid: Some(_), .. })), "{refused:?}");
        HELD.lock().remove(&identity);
        assert!(RealLock::take(open(), "directory".to_owned()).is_ok());
    }
}
