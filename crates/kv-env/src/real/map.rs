// Contains `unsafe`: the one place of the project that maps a file into memory.
#![allow(unsafe_code)]
//! Read-only maps of sealed files.
//!
//! Hazard: a device error under a map, or a file that somebody shortens from
//! outside, ends the process by SIGBUS; recovery at the next open does the
//! rest. Pread has neither problem.

use std::io;
use std::sync::Arc;

use kv_core::{Pinned, Result};
use memmap2::{Advice, Mmap, MmapOptions};

use super::file::RealFile;

struct Map(Mmap);

impl Pinned for Map {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Maps exactly the `len` bytes that the file had when it was opened.
pub(super) fn map_whole(file: &RealFile, len: u64) -> Result<Arc<dyn Pinned>> {
    let status = file.regular_status("map")?;
    if status.st_size as u64 != len {
        let error = io::Error::new(io::ErrorKind::InvalidData, "its length changed while open");
        return Err(file.error("map", error));
    }
    if len == 0 {
        // There is no map of no bytes.
        return Ok(Arc::new(Vec::new()));
    }
    let len =
        usize::try_from(len).map_err(|_| file.error("map", io::ErrorKind::FileTooLarge.into()))?;
    // SAFETY: the bytes of a map must not change while it lives. Only sealed
    // files are mapped: nothing in this crate writes to one, truncates one or
    // opens one for writing, `remove` and `rename` leave the inode alone, and
    // the file's mode keeps other programs from writing to it. A program of
    // the same user that overrides the mode is outside the contract; readers
    // of tables decode any bytes without undefined results of their own.
    let map = unsafe { MmapOptions::new().len(len).map(file.descriptor()) }
        .map_err(|error| file.error("map", error))?;
    // Point reads of cold blocks: reading ahead would load what nobody asked
    // for. Only a hint, so a refusal changes nothing.
    let _ = map.advise(Advice::Random);
    Ok(Arc::new(Map(map)))
}
