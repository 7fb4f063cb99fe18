//! Copies of damaged or torn bytes, which are kept before the original goes.

use std::ops::Range;

use kv_core::Result;
use kv_env::{Fs, ReadFile};

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

/// Writes `range` of `from` to the new file `name` and syncs it. To sync the
/// directory is left to the caller.
pub(crate) fn copy(
    from: &dyn ReadFile,
    range: Range<u64>,
    target: &dyn Fs,
    name: &str,
) -> Result<()> {
    let mut copy = target.create(name)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = range.start;
    while at < range.end {
        let wanted = (range.end - at).min(CHUNK_BYTES as u64) as usize;
        let got = from.read_at(at, &mut chunk[..wanted])?;
        if got == 0 {
            break;
        }
        copy.append(&chunk[..got])?;
        at += got as u64;
    }
    copy.sync()
}
