//! Damaged or torn bytes, which are kept before the original goes.

use std::io::ErrorKind;
use std::ops::Range;

use kv_core::{Error, Result};
use kv_env::{Fs, ReadFile};

use crate::names;

/// What is read at a time, in bytes: a tail may be as long as the longest batch.
const CHUNK_BYTES: usize = 256 << 10;

/// The end of what is not zero behind `offset`; `offset` itself if all is.
pub(crate) fn used_end(file: &dyn ReadFile, offset: u64) -> Result<u64> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut at, mut end) = (offset, offset);
    while at < file.len() {
        let got = file.read_at(at, &mut chunk)?;
        if let Some(last) = chunk[..got].iter().rposition(|&byte| byte != 0) {
            end = at + last as u64 + 1;
        }
        if got == 0 {
            break;
        }
        at += got as u64;
    }
    Ok(end)
}

/// Moves file `name` to the quarantine, whose directory is there. Returns its name
/// there, or nothing if it is gone. To sync the directory is left to the caller.
pub(crate) fn set_aside(fs: &dyn Fs, name: &str) -> Result<Option<String>> {
    let kept = names::in_quarantine(name);
    match fs.rename(name, &kept) {
        Ok(()) => {}
        Err(error) if error.is_not_found() => return Ok(None),
        // The quarantine may be on a disk of its own.
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::CrossesDevices => {
            let file = fs.open(name)?;
            copy((name, &*file), 0..file.len(), fs, &kept)?;
            fs.remove(name)?;
        }
        Err(error) => return Err(error),
    }
    Ok(Some(kept))
}

/// Writes `range` of a file to the new file `kept` and syncs it. To sync the
/// directory is left to the caller.
///
/// # Errors
/// `Corruption` if the file ends before `range` does.
pub(crate) fn copy(
    (name, from): (&str, &dyn ReadFile),
    range: Range<u64>,
    target: &dyn Fs,
    kept: &str,
) -> Result<()> {
    let mut copy = target.create(kept)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = range.start;
    while at < range.end {
        let wanted = (range.end - at).min(CHUNK_BYTES as u64) as usize;
        let got = from.read_at(at, &mut chunk[..wanted])?;
        if got == 0 {
            return Err(Error::corruption(name, at, "the file became shorter while it was kept"));
        }
        copy.append(&chunk[..got])?;
        at += got as u64;
    }
    copy.sync()
}
