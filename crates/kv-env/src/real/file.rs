//! Open files of the operating system.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use kv_core::{Error, Pinned, Result};
use rustix::fs::{Advice, FileType, Mode, Stat};
use rustix::io::Errno;

use super::{describe_errno, map, transfer};
use crate::ports::{ReadFile, SyncHandle, WriteFile};

/// Zeros are written in pieces of this many bytes: large enough that system
/// calls do not count, small enough that the buffer stays in a cache.
const ZERO_PIECE_BYTES: usize = 1 << 20;

/// Mode of a sealed file: read-only, for its owner.
const SEALED_MODE: Mode = Mode::RUSR;

/// Any permission to write.
pub(super) const WRITE_BITS: Mode = Mode::WUSR.union(Mode::WGRP).union(Mode::WOTH);

/// A descriptor and the path for messages about it.
#[derive(Debug)]
pub(super) struct RealFile {
    descriptor: OwnedFd,
    path: String,
}

impl RealFile {
    pub(super) fn new(descriptor: OwnedFd, path: String) -> RealFile {
        RealFile { descriptor, path }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn descriptor(&self) -> &OwnedFd {
        &self.descriptor
    }

    pub(super) fn error(&self, operation: &'static str, error: io::Error) -> Error {
        Error::io(operation, self.path.clone(), error)
    }

    pub(super) fn errno(&self, operation: &'static str, errno: Errno) -> Error {
        self.error(operation, describe_errno(errno))
    }

    /// The status of what must be a regular file.
    pub(super) fn regular_status(&self, operation: &'static str) -> Result<Stat> {
        let status =
            rustix::fs::fstat(&self.descriptor).map_err(|errno| self.errno(operation, errno))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
            return Err(self.error(operation, error));
        }
        Ok(status)
    }

    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        transfer::read_full_at(buffer, offset, |buffer, offset| {
            rustix::io::pread(&self.descriptor, buffer, offset)
        })
        .map_err(|error| self.error("read", error))
    }

    pub(super) fn write_at(
        &self,
        operation: &'static str,
        bytes: &[u8],
        offset: u64,
    ) -> Result<()> {
        transfer::write_all_at(bytes, offset, |bytes, offset| {
            rustix::io::pwrite(&self.descriptor, bytes, offset)
        })
        .map_err(|error| self.error(operation, error))
    }

    pub(super) fn set_len(&self, len: u64) -> Result<()> {
        rustix::io::retry_on_intr(|| rustix::fs::ftruncate(&self.descriptor, len))
            .map_err(|errno| self.errno("truncate", errno))
    }

    /// Writes zeros from `from` up to `to`, and tells `progress` after each
    /// piece how far they reach.
    pub(super) fn write_zeros(
        &self,
        operation: &'static str,
        from: u64,
        to: u64,
        mut progress: impl FnMut(u64),
    ) -> Result<()> {
        let zeros = vec![0; to.saturating_sub(from).min(ZERO_PIECE_BYTES as u64) as usize];
        let mut end = from;
        while end < to {
            let piece = (to - end).min(zeros.len() as u64);
            self.write_at(operation, &zeros[..piece as usize], end)?;
            end += piece;
            progress(end);
        }
        Ok(())
    }

    /// Refuses a sealed file, which `status` is of.
    pub(super) fn check_not_sealed(&self, operation: &'static str, status: &Stat) -> Result<()> {
        // Permissions do not stop a privileged process; sealed is sealed.
        if !Mode::from_raw_mode(status.st_mode).intersects(WRITE_BITS) {
            return Err(self.errno(operation, Errno::ACCESS));
        }
        Ok(())
    }

    /// Gives the file its mode, whatever the process's umask took away.
    pub(super) fn set_mode(&self, operation: &'static str, mode: Mode) -> Result<()> {
        rustix::fs::fchmod(&self.descriptor, mode).map_err(|errno| self.errno(operation, errno))
    }

    /// Shortens the file, which has this status, to `len` bytes and makes that
    /// durable.
    pub(super) fn cut_and_sync(&self, len: u64, status: &Stat) -> Result<()> {
        self.check_not_sealed("truncate", status)?;
        if len > status.st_size as u64 {
            return Err(Error::InvalidArgument(format!(
                "cannot cut {} to {len} bytes: it has {}",
                self.path, status.st_size
            )));
        }
        self.set_len(len)?;
        self.sync_all()
    }

    /// Data and metadata. An error is final and an interrupt is an error: a
    /// second sync could report success for pages that the first has dropped.
    pub(super) fn sync_all(&self) -> Result<()> {
        rustix::fs::fsync(&self.descriptor).map_err(|errno| self.errno("sync", errno))
    }
}

impl SyncHandle for RealFile {
    fn sync(&self) -> Result<()> {
        rustix::fs::fdatasync(&self.descriptor).map_err(|errno| self.errno("sync", errno))
    }
}

/// A new file. The descriptor is shared with its sync handles.
pub(super) struct RealWriteFile {
    file: Arc<RealFile>,
    position: u64,
    /// Length of the file: the position, or the end of the zeros behind it.
    end: u64,
    is_sealed: bool,
}

impl RealWriteFile {
    pub(super) fn new(file: RealFile) -> RealWriteFile {
        RealWriteFile { file: Arc::new(file), position: 0, end: 0, is_sealed: false }
    }

    fn check_not_sealed(&self) -> Result<()> {
        if self.is_sealed {
            return Err(Error::InvalidArgument(format!("{} is sealed", self.file.path)));
        }
        Ok(())
    }
}

impl WriteFile for RealWriteFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.check_not_sealed()?;
        self.file.write_at("append to", bytes, self.position)?;
        self.position += bytes.len() as u64;
        self.end = self.end.max(self.position);
        Ok(())
    }

    fn zero_fill(&mut self, len: u64) -> Result<()> {
        self.check_not_sealed()?;
        let (from, file) = (self.end, Arc::clone(&self.file));
        file.write_zeros("fill with zeros", from, len, |end| self.end = end)
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync()
    }

    fn sync_handle(&self) -> Arc<dyn SyncHandle> {
        Arc::clone(&self.file) as Arc<dyn SyncHandle>
    }

    fn seal(&mut self) -> Result<()> {
        self.check_not_sealed()?;
        self.file.set_len(self.position)?;
        self.file.sync_all()?;
        // Last, so that a read-only file is always a durable one.
        self.file.set_mode("seal", SEALED_MODE)?;
        self.end = self.position;
        self.is_sealed = true;
        Ok(())
    }
}

/// A file opened for reading.
pub(super) struct RealReadFile {
    file: RealFile,
    len: u64,
}

impl RealReadFile {
    pub(super) fn new(file: RealFile, len: u64) -> RealReadFile {
        RealReadFile { file, len }
    }
}

impl ReadFile for RealReadFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn map(&self) -> Result<Arc<dyn Pinned>> {
        map::map_whole(&self.file, self.len)
    }

    fn drop_cache(&self) -> Result<()> {
        rustix::fs::fadvise(&self.file.descriptor, 0, None, Advice::DontNeed)
            .map_err(|errno| self.file.errno("drop the cache of", errno))
    }
}
