//! Reading and writing all of a buffer, whatever a signal or a busy device
//! makes of a single system call.

use std::io;

use rustix::io::Errno;

/// Writes all of `bytes` at `offset`: one call of `write` where the system
/// takes them all.
pub(super) fn write_all_at(
    mut bytes: &[u8],
    mut offset: u64,
    mut write: impl FnMut(&[u8], u64) -> Result<usize, Errno>,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Fills `buffer` from `offset` on; returns fewer bytes only at the end of the
/// file.
pub(super) fn read_full_at(
    buffer: &mut [u8],
    offset: u64,
    mut read: impl FnMut(&mut [u8], u64) -> Result<usize, Errno>,
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of a system that is interrupted and takes little at a time.
    fn moody(step: &mut usize, wanted: usize) -> Result<usize, Errno> {
        *step += 1;
        if step.is_multiple_of(2) { Err(Errno::INTR) } else { Ok(wanted.min(3)) }
    }

    #[test]
    fn writes_go_on_after_interrupts_and_short_writes() {
        let mut disk = [0; 20];
        let mut step = 0;
        write_all_at(b"hello, world", 5, |bytes, offset| {
            let taken = moody(&mut step, bytes.len())?;
            disk[offset as usize..][..taken].copy_from_slice(&bytes[..taken]);
            Ok(taken)
        })
        .unwrap();
        assert_eq!(&disk[5..17], b"hello, world");
    }

    #[test]
    fn a_write_that_takes_nothing_is_an_error_and_not_a_loop() {
        let error = write_all_at(b"x", 0, |_, _| Ok(0)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
        let error = write_all_at(b"x", 0, |_, _| Err(Errno::NOSPC)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn reads_go_on_until_the_end_of_the_file() {
        let disk = b"0123456789";
        let mut step = 0;
        let mut buffer = [0; 16];
        let got = read_full_at(&mut buffer, 2, |buffer, offset| {
            let rest = &disk[(offset as usize).min(disk.len())..];
            let taken = moody(&mut step, buffer.len().min(rest.len()))?;
            buffer[..taken].copy_from_slice(&rest[..taken]);
            Ok(taken)
        })
        .unwrap();
        assert_eq!(&buffer[..got], b"23456789");
    }
}
