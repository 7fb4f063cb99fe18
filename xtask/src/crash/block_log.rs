//! A log of block writes, in the format of dm-log-writes, and the disks that a
//! power cut could have left.
//!
//! ```text
//! sector 0:   magic u64, version u64, entries u64, sector size u32
//! each entry: sector u64, sectors u64, flags u64, data length u64, padding to
//!             a sector; then the data, unless it is a discard
//! ```

use super::block_device::{FILE_SYSTEM_BYTES, MARK, MARK_OFFSET};
use super::random::Random;

/// Positions and lengths in entries count these, whatever the sector size.
const BLOCK_SECTOR_BYTES: u64 = 512;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;
/// What a disk writes whole or not at all. Smaller tears would damage ext4's
/// own superblock, which is not ours to mend.
const TEAR_BYTES: usize = 4096;
/// Flushes that the lying disk has not carried out when its power fails.
const LIES: usize = 25;

/// One write or flush.
struct Entry {
    offset: u64,
    flags: u64,
    data: Vec<u8>,
}

/// All that a device was told, in order.
pub(crate) struct BlockLog {
    entries: Vec<Entry>,
}

/// What the disk did with what was not flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    /// Any subset is there, in pieces; all that was flushed is.
    Honest,
    /// The last flushes were answered and not carried out.
    Lying,
}

impl BlockLog {
    /// Reads a log; `None` if it is not one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<BlockLog> {
        let count = word(bytes, 16)?;
        let sector = u64::from(u32::from_le_bytes(bytes.get(24..28)?.try_into().ok()?));
        let mut at = sector;
        let mut entries = Vec::new();
        for _ in 0..count {
            let [position, sectors, flags] =
                [word(bytes, at)?, word(bytes, at + 8)?, word(bytes, at + 16)?];
            at += sector;
            let length = if flags & DISCARD == 0 { sectors.checked_mul(sector)? } else { 0 };
            let data = bytes.get(at as usize..at.checked_add(length)? as usize)?.to_vec();
            at += length;
            entries.push(Entry { offset: position * BLOCK_SECTOR_BYTES, flags, data });
        }
        Some(BlockLog { entries })
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The moment of the last mark before entry `cut`.
    pub(crate) fn marked_moment(&self, cut: usize) -> u64 {
        let marks = self.entries[..cut].iter().rev();
        let is_mark = |entry: &&Entry| entry.offset == MARK_OFFSET && entry.data.starts_with(MARK);
        marks.filter(is_mark).find_map(|entry| word(&entry.data, 8)).unwrap_or(0)
    }

    /// The file system that begins as `start`, with the power cut before entry
    /// `cut`.
    pub(crate) fn image(
        &self,
        start: &[u8],
        cut: usize,
        disk: Disk,
        random: &mut Random,
    ) -> Vec<u8> {
        let flushes: Vec<usize> =
            (0..cut).filter(|at| self.entries[*at].flags & FLUSH != 0).collect();
        let believed = match disk {
            Disk::Honest => flushes.last(),
            Disk::Lying => flushes.iter().rev().nth(LIES),
        };
        let durable = believed.map_or(0, |at| at + 1);
        let mut image = start.to_vec();
        for (at, entry) in self.entries[..cut].iter().enumerate() {
            for (number, piece) in entry.data.chunks(TEAR_BYTES).enumerate() {
                let offset = entry.offset as usize + number * TEAR_BYTES;
                let is_there = at < durable || disk == Disk::Honest && random.below(2) == 0;
                if is_there && (offset + piece.len()) as u64 <= FILE_SYSTEM_BYTES {
                    image[offset..offset + piece.len()].copy_from_slice(piece);
                }
            }
        }
        image
    }
}

fn word(bytes: &[u8], at: u64) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{BlockLog, DISCARD, Disk, FLUSH, MARK, MARK_OFFSET};
    use crate::crash::random::Random;

    fn log(entries: &[(u64, u64, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; 512];
        bytes[16..24].copy_from_slice(&(entries.len() as u64).to_le_bytes());
        bytes[24..28].copy_from_slice(&512_u32.to_le_bytes());
        for (offset, flags, data) in entries {
            let head = [offset / 512, data.len().div_ceil(512) as u64, *flags, 0];
            let start = bytes.len();
            bytes.extend(head.iter().flat_map(|word| word.to_le_bytes()));
            bytes.resize(start + 512, 0);
            bytes.extend_from_slice(data);
        }
        bytes
    }

    #[test]
    fn flushed_writes_are_in_every_image_and_later_ones_in_some() {
        let mut mark = [0; 512];
        mark[..8].copy_from_slice(MARK);
        mark[8] = 77;
        let entries: [(u64, u64, &[u8]); 5] = [
            (0, 0, &[1; 512]),
            (0, FLUSH, &[]),
            (0, DISCARD, &[]),
            (MARK_OFFSET, 0, &mark),
            (512, 0, &[2; 512]),
        ];
        let log = BlockLog::parse(&log(&entries)).unwrap();
        assert_eq!(log.len(), 5);
        assert_eq!((log.marked_moment(3), log.marked_moment(4)), (0, 77));
        let mut seconds = Vec::new();
        for seed in 0..20 {
            let image = log.image(&[0; 1024], 5, Disk::Honest, &mut Random::new(seed));
            assert_eq!(image[..512], [1; 512]);
            seconds.push(image[512]);
        }
        assert!(seconds.contains(&0) && seconds.contains(&2), "{seconds:?}");
        let lied_to = log.image(&[0; 1024], 5, Disk::Lying, &mut Random::new(1));
        assert_eq!(lied_to, [0; 1024]);
    }

    #[test]
    fn a_cut_log_is_no_log() {
        let bytes = log(&[(0, 0, &[1; 512])]);
        assert!(BlockLog::parse(&bytes[..bytes.len() - 1]).is_none());
        assert!(BlockLog::parse(b"").is_none());
    }
}
