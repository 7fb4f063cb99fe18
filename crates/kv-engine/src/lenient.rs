//! Files of a damaged directory, read so that nothing in them ends a repair or a
//! check.

use std::ops::Range;
use std::sync::Arc;

use kv_core::{DatabaseId, Error, FILE_HEADER_BYTES, FileHeader, FileKind, Pinned, Result};
use kv_env::{Fs, ReadFile};
use parking_lot::Mutex;

/// What is asked of the device on its own where a larger read fails.
const SECTOR_BYTES: u64 = 4096;

/// Opens `name` of the source for salvage.
///
/// # Errors
/// `Io` if it cannot be opened at all.
pub(crate) fn open(fs: &dyn Fs, name: &str) -> Result<Arc<LenientFile>> {
    let inner = fs.open(name)?;
    // What counts is on the medium, not in memory.
    inner.drop_cache()?;
    Ok(Arc::new(LenientFile { inner, unreadable: Mutex::default() }))
}

/// A file in which parts that the device cannot read are zeros, which fail
/// every checksum. That memory is lacking says nothing of the device: such an
/// error stays one.
pub(crate) struct LenientFile {
    inner: Arc<dyn ReadFile>,
    unreadable: Mutex<Vec<Range<u64>>>,
}

impl LenientFile {
    /// The parts that could not be read so far, in the order they were met.
    pub(crate) fn unreadable(&self) -> Vec<Range<u64>> {
        self.unreadable.lock().clone()
    }

    fn read_sector(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        match self.inner.read_at(offset, buffer) {
            Ok(got) => Ok(got),
            Err(error) if error.is_out_of_resources() => Err(error),
            Err(_) => {
                buffer.fill(0);
                self.note_unreadable(offset..offset + buffer.len() as u64);
                Ok((buffer.len() as u64).min(self.len().saturating_sub(offset)) as usize)
            }
        }
    }

    fn note_unreadable(&self, range: Range<u64>) {
        let mut known = self.unreadable.lock();
        if known.iter().any(|old| old.start <= range.start && range.end <= old.end) {
            return;
        }
        match known.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => known.push(range),
        }
    }
}

impl ReadFile for LenientFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        match self.inner.read_at(offset, buffer) {
            Err(error) if !error.is_out_of_resources() => {}
            outcome => return outcome,
        }
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let sector_end = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
            let len = ((sector_end - at) as usize).min(buffer.len() - done);
            let got = self.read_sector(at, &mut buffer[done..done + len])?;
            done += got;
            if got < len {
                break;
            }
        }
        Ok(done)
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn map(&self) -> Result<Arc<dyn Pinned>> {
        Err(Error::InvalidArgument("a damaged file is not mapped".into()))
    }

    fn drop_cache(&self) -> Result<()> {
        self.inner.drop_cache()
    }
}

/// A file header, as found or as it must have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoundHeader {
    Intact(FileHeader),
    /// One flipped bit was put right: the checksum then holds again. What the
    /// file holds is checked with it, so a wrong guess finds nothing.
    Mended(FileHeader),
    Unreadable,
}

impl FoundHeader {
    pub(crate) fn header(self) -> Option<FileHeader> {
        match self {
            FoundHeader::Intact(header) | FoundHeader::Mended(header) => Some(header),
            FoundHeader::Unreadable => None,
        }
    }
}

/// Reads the header of a file of `kind`.
pub(crate) fn read_header(file: &dyn ReadFile, kind: FileKind, name: &str) -> Result<FoundHeader> {
    let mut bytes = [0; FILE_HEADER_BYTES];
    if file.read_at(0, &mut bytes)? < bytes.len() {
        return Ok(FoundHeader::Unreadable);
    }
    if let Ok(header) = FileHeader::decode(kind, name, &bytes) {
        return Ok(FoundHeader::Intact(header));
    }
    for bit in 0..8 * FILE_HEADER_BYTES {
        let mut mended = bytes;
        mended[bit / 8] ^= 1 << (bit % 8);
        if let Ok(header) = FileHeader::decode(kind, name, &mended) {
            return Ok(FoundHeader::Mended(header));
        }
    }
    Ok(FoundHeader::Unreadable)
}

/// The database that most of the files belong to.
pub(crate) fn most_common(ids: &[DatabaseId]) -> Option<DatabaseId> {
    let count = |id: &DatabaseId| ids.iter().filter(|other| *other == id).count();
    ids.iter().copied().max_by_key(count)
}
