//! A file that holds space and no bytes.

use kv_core::{Error, Result};
use rustix::fs::{AtFlags, FallocateFlags, OFlags};
use rustix::io::Errno;

use super::file::RealFile;
use super::{FILE_MODE, RealFs, open_file};

const OPERATION: &str = "reserve space in";

/// See [`Fs::reserve`](crate::Fs::reserve).
pub(super) fn reserve(fs: &RealFs, name: &str, bytes: u64) -> Result<()> {
    let (parent, leaf) = fs.resolve_to_change(OPERATION, name)?;
    let new = open_file(&parent, leaf, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL);
    let (descriptor, is_new) = match new {
        Ok(descriptor) => (descriptor, true),
        Err(Errno::EXIST) => {
            let existing = open_file(&parent, leaf, OFlags::RDWR)
                .map_err(|errno| fs.error(OPERATION, name, errno))?;
            (existing, false)
        }
        Err(errno) => return Err(fs.error(OPERATION, name, errno)),
    };
    let file = RealFile::new(descriptor, fs.path_of(name));
    if is_new {
        fs.note_change(name);
        file.set_mode(OPERATION, FILE_MODE)?;
    }
    let status = fs.check_file(OPERATION, &file)?;
    file.check_not_sealed(OPERATION, &status)?;
    let old_len = status.st_size as u64;
    let reserved = allocate(&file, old_len, bytes);
    if reserved.is_err() {
        // Best effort: the caller learns the cause, not what came of this.
        if is_new {
            let _ = rustix::fs::unlinkat(&parent, leaf, AtFlags::empty());
        } else {
            let _ = file.set_len(old_len);
        }
    }
    reserved
}

fn allocate(file: &RealFile, old_len: u64, bytes: u64) -> Result<()> {
    let allocated = rustix::io::retry_on_intr(|| {
        rustix::fs::fallocate(file.descriptor(), FallocateFlags::empty(), 0, bytes)
    });
    match allocated {
        // No bytes are no valid length to allocate, and nothing to do.
        Err(Errno::INVAL) if bytes == 0 => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(file, old_len, bytes),
        other => other.map_err(|errno| file.errno(OPERATION, errno)),
    }
}

/// For file systems that allocate only what is written, and some only when it
/// is synced.
fn write_zeros(file: &RealFile, old_len: u64, bytes: u64) -> Result<(), Error> {
    file.write_zeros(OPERATION, old_len, bytes, |_| {})?;
    file.sync_all()
}
