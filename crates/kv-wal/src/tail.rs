//! What a record that fails its check means: a torn write or rot.
//!
//! A power cut may take away any part of what was not synced, and leaves what
//! was there before: zeros in the prewritten part of the file. The log is then
//! cut before the first record that was hit, and nobody who was promised
//! durability misses anything. Damage to anything else
//! must be reported, for cutting there would lose acknowledged writes in
//! silence. The decision, for the first bad record of the newest segment:
//!
//! 1. **Was it durable?** Every record and every frame stamp carries the
//!    position up to which the log was known durable when it was written. One
//!    valid carrier behind the bad record with a position behind the bad
//!    record's start proves rot.
//! 2. **Can any of it be missing?** If not, it was written whole and has changed
//!    since: rot. In the prewritten part only zeros can be missing, at the end
//!    of a [unit of tear](UNIT_OF_TEAR_BYTES); behind it, anything.
//! 3. Else it is taken for torn.
//!
//! So rot passes for a tear only in records that were the last to be synced,
//! with nothing written since, and there only if zeros stand where a tear leaves
//! them or the file was not prewritten.
//!
//! Carriers are looked for at the starts of frames, at the places that headers
//! and valid stamps point to, and in the last bytes of the file, where a
//! finished log has its end mark; never by searching: a payload may hold
//! anything, even a copy of a log.

use std::ops::Range;

use kv_core::ChecksumSeed;

use crate::frames::is_zero;
use crate::layout::{FRAME_BYTES, FRAME_DATA_BYTES, Lsn, STAMP_BYTES, frame_offset};
use crate::record::{RECORD_HEADER_BYTES, RecordHeader};
use crate::stamp::FrameStamp;

/// The smallest piece of an unsynced write that can be missing on its own: a
/// cache line. Devices write sectors, but while one group is being synced the
/// next is copied into the same page, and file systems without stable pages
/// let the device read it line by line meanwhile. Line sizes above this are
/// multiples of it, and so are sectors.
const UNIT_OF_TEAR_BYTES: u64 = 64;

/// A line is filled front to back by aligned stores of eight bytes or more, so
/// a half-filled one ends in at least so many zeros. That tells it from most
/// payloads, which hold fewer there.
const MISSING_END_BYTES: u64 = 8;

const _: () = assert!(FRAME_BYTES.is_multiple_of(UNIT_OF_TEAR_BYTES));

/// The first bad record of a log, and all that stands in the file from its
/// frame on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suspect<'a> {
    /// The seed of the file's checksums.
    pub(crate) seed: ChecksumSeed,
    /// Where the file stops to be zero if it was not written.
    pub(crate) prewritten_bytes: u64,
    /// The file from the start of the record's frame to the last byte that is
    /// not zero. What is behind counts as zero.
    pub(crate) bytes: &'a [u8],
    /// Where the file, zeros included, ends.
    pub(crate) stream_end: Lsn,
    /// Where the record starts.
    pub(crate) start: Lsn,
    /// Its header, if that is intact and just the payload is bad.
    pub(crate) header: Option<RecordHeader>,
}

/// The judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The record was never written whole.
    Torn,
    /// The record was durable: what stands at this file offset says so.
    WasDurable {
        /// Offset of the record or stamp that proves it.
        proof_offset: u64,
    },
    /// Nothing of the record is missing, yet it fails its check.
    WasWhole,
}

/// Judges a bad record of a log that nothing is known to have followed.
pub(crate) fn classify(suspect: &Suspect<'_>) -> Verdict {
    if let Some(proof_offset) = suspect.find_proof_of_durability() {
        return Verdict::WasDurable { proof_offset };
    }
    if suspect.may_be_incomplete() { Verdict::Torn } else { Verdict::WasWhole }
}

impl Suspect<'_> {
    /// Walks the records behind the bad one as far as they can be reached, and
    /// takes a new foothold at each frame where the trail was lost.
    fn find_proof_of_durability(&self) -> Option<u64> {
        if let Some((lsn, mark)) = self.end_mark()
            && mark.synced(lsn) > self.start
        {
            return Some(lsn.file_offset());
        }
        let claimed = Some(self.claimed_end()).filter(|&lsn| self.header_at(lsn).is_some());
        let mut next = self.header.map(|header| header.end(self.start)).or(claimed);
        let first_frame = self.start.frame();
        let frames = (self.bytes.len() as u64).div_ceil(FRAME_BYTES);
        for frame in first_frame..first_frame + frames {
            let frame_start = Lsn(frame * FRAME_DATA_BYTES);
            // That of the first frame is no newer than the bad record: it proves
            // nothing, and the trail from it ends at the bad record.
            if let Some(stamp) = self.stamp(frame) {
                if stamp.synced > self.start {
                    return Some(frame_offset(frame));
                }
                next = next.or(Some(frame_start.plus(stamp.continuation as usize)));
            }
            while let Some(lsn) = next.filter(|lsn| lsn.frame() == frame) {
                let header = self.header_at(lsn);
                if header.is_some_and(|header| header.synced(lsn) > self.start) {
                    return Some(lsn.file_offset());
                }
                next = header.map(|header| header.end(lsn));
            }
        }
        None
    }

    /// True if a tear would leave the record as it is: with zeros from some
    /// byte of it to the end of the file, or to the end of a line.
    fn may_be_incomplete(&self) -> bool {
        let end = match self.header {
            Some(header) => header.end(self.start),
            None => self.start.plus(RECORD_HEADER_BYTES),
        };
        let last = Lsn(end.0 - 1).file_offset();
        if last >= self.prewritten_bytes || last >= self.file_offset() + self.bytes.len() as u64 {
            return true;
        }
        let mut at = self.start;
        while at < end {
            let offset = at.file_offset();
            let line_end = (offset / UNIT_OF_TEAR_BYTES + 1) * UNIT_OF_TEAR_BYTES;
            let in_line = (line_end - offset).min(end.0 - at.0);
            let last = offset + in_line - 1;
            let tail = last.min(line_end - MISSING_END_BYTES).max(offset);
            if self.is_zero(tail..line_end) {
                return true;
            }
            at = at.plus(in_line as usize);
        }
        false
    }

    /// The end mark of a finished log, and where it stands.
    fn end_mark(&self) -> Option<(Lsn, RecordHeader)> {
        let lsn = Lsn(self.stream_end.0.checked_sub(RECORD_HEADER_BYTES as u64)?);
        if lsn <= self.start {
            return None;
        }
        self.header_at(lsn).filter(RecordHeader::is_end_mark).map(|mark| (lsn, mark))
    }

    /// Where the bad record ends by the length in its header, which may fail
    /// its check: a guess, but what stands there proves itself or nothing.
    fn claimed_end(&self) -> Lsn {
        let [_, _, _, _, a, b, c, d, ..] = self.header_bytes_at(self.start);
        let len = u32::from_le_bytes([a, b, c, d]);
        self.start.plus(RECORD_HEADER_BYTES + len as usize)
    }

    fn stamp(&self, frame: u64) -> Option<FrameStamp> {
        let offset = frame_offset(frame);
        let bytes: [u8; STAMP_BYTES as usize] = self.copy_at(offset);
        FrameStamp::decode(self.seed, offset, &bytes)
    }

    fn header_at(&self, lsn: Lsn) -> Option<RecordHeader> {
        RecordHeader::decode(lsn, self.seed, &self.header_bytes_at(lsn))
    }

    fn header_bytes_at(&self, lsn: Lsn) -> [u8; RECORD_HEADER_BYTES] {
        let in_frame = (FRAME_DATA_BYTES - lsn.offset_in_frame()) as usize;
        let mut bytes: [u8; RECORD_HEADER_BYTES] = self.copy_at(lsn.file_offset());
        if let Some(behind) = bytes.get_mut(in_frame..) {
            let next: [u8; RECORD_HEADER_BYTES] = self.copy_at(lsn.plus(in_frame).file_offset());
            let len = behind.len();
            behind.copy_from_slice(&next[..len]);
        }
        bytes
    }

    fn copy_at<const N: usize>(&self, offset: u64) -> [u8; N] {
        let mut out = [0; N];
        let found = self.slice(offset..offset + N as u64);
        out[..found.len()].copy_from_slice(found);
        out
    }

    fn is_zero(&self, offsets: Range<u64>) -> bool {
        is_zero(self.slice(offsets))
    }

    /// The bytes at `offsets` of the file, as far as they are not behind the
    /// last one that is not zero.
    fn slice(&self, offsets: Range<u64>) -> &[u8] {
        let clip = |offset: u64| {
            let index = offset.saturating_sub(self.file_offset());
            index.min(self.bytes.len() as u64) as usize
        };
        &self.bytes[clip(offsets.start)..clip(offsets.end)]
    }

    fn file_offset(&self) -> u64 {
        frame_offset(self.start.frame())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RecordType;

    const PREWRITTEN_BYTES: u64 = 1 << 20;
    /// Chosen so that the header of a record crosses the end of the first frame.
    const PAYLOAD_BYTES: usize = 107;
    const RECORD_BYTES: u64 = (RECORD_HEADER_BYTES + PAYLOAD_BYTES) as u64;

    fn seed() -> ChecksumSeed {
        ChecksumSeed::from_identity(b"a file")
    }

    /// The frames of a log of `records` equal records, each written when all
    /// before the `synced_records`-th were durable.
    fn log(records: u64, synced_records: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in 0..records {
            let start = Lsn(number * RECORD_BYTES);
            let synced = Lsn(number.min(synced_records) * RECORD_BYTES);
            let payload = [b'p'; PAYLOAD_BYTES];
            let header = RecordHeader::new(RecordType::Data, &payload, start, synced, seed());
            let record = [&header.encode(start, seed())[..], &payload].concat();
            for (index, byte) in record.into_iter().enumerate() {
                let lsn = start.plus(index);
                if lsn.offset_in_frame() == 0 {
                    let continuation = (RECORD_BYTES - index as u64) % RECORD_BYTES;
                    let stamp = FrameStamp { continuation: continuation as u32, synced };
                    bytes.extend(stamp.encode(seed(), frame_offset(lsn.frame())));
                }
                bytes.push(byte);
            }
        }
        bytes
    }

    fn index(lsn: u64) -> usize {
        (Lsn(lsn).file_offset() - frame_offset(0)) as usize
    }

    /// The verdict on the record at `start` of the first frame.
    fn judge(bytes: &[u8], start: u64) -> Verdict {
        let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let mut suspect = Suspect {
            seed: seed(),
            prewritten_bytes: PREWRITTEN_BYTES,
            stream_end: Lsn::at_file_end(PREWRITTEN_BYTES),
            bytes: &bytes[..used],
            start: Lsn(start),
            header: None,
        };
        suspect.header = suspect.header_at(Lsn(start));
        classify(&suspect)
    }

    #[test]
    fn a_record_behind_an_intact_header_proves_durability() {
        let mut bytes = log(4, 2);
        bytes[index(RECORD_BYTES + 50)] ^= 1;
        let proof_offset = Lsn(2 * RECORD_BYTES).file_offset();
        assert_eq!(judge(&bytes, RECORD_BYTES), Verdict::WasDurable { proof_offset });
        // A proof counts for what is before its position, not for the record at it.
        assert_eq!(judge(&log(4, 1), RECORD_BYTES), Verdict::WasWhole);
    }

    #[test]
    fn the_length_in_a_bad_header_leads_to_the_next_record() {
        let proof_offset = Lsn(2 * RECORD_BYTES).file_offset();
        for (byte, verdict) in [(12, Verdict::WasDurable { proof_offset }), (4, Verdict::WasWhole)]
        {
            let mut bytes = log(4, 2);
            bytes[index(RECORD_BYTES) + byte] ^= 1;
            assert_eq!(judge(&bytes, RECORD_BYTES), verdict, "byte {byte} of the header");
        }
    }

    #[test]
    fn a_header_over_the_end_of_a_frame_proves_durability() {
        let crossing = FRAME_DATA_BYTES / RECORD_BYTES;
        let (start, proof) = ((crossing - 1) * RECORD_BYTES, Lsn(crossing * RECORD_BYTES));
        let room = FRAME_DATA_BYTES - proof.offset_in_frame();
        assert!(room < RECORD_HEADER_BYTES as u64, "the header does not cross");
        let mut bytes = log(crossing + 2, crossing);
        bytes[index(start + 50)] ^= 1;
        let proof_offset = proof.file_offset();
        assert_eq!(judge(&bytes, start), Verdict::WasDurable { proof_offset });
    }

    #[test]
    fn behind_a_bad_header_the_next_frame_is_a_foothold() {
        // Its stamp proves nothing yet: just the first record that it points to.
        let crossing = FRAME_DATA_BYTES / RECORD_BYTES;
        let mut bytes = log(crossing + 3, crossing + 1);
        let (start, stamp) = (crossing * RECORD_BYTES, index(FRAME_DATA_BYTES) - 16);
        bytes[index(start) + 4] ^= 1;
        let proof_offset = Lsn(start + RECORD_BYTES).file_offset();
        assert_eq!(judge(&bytes, start), Verdict::WasDurable { proof_offset });
        // Here the stamp itself does.
        let proof_offset = frame_offset(1);
        let first = (crossing - 1) * RECORD_BYTES;
        bytes[index(first)] ^= 1;
        assert_eq!(judge(&bytes, first), Verdict::WasDurable { proof_offset });
        // Without a foothold it is still seen that nothing is missing.
        bytes[stamp] ^= 1;
        assert_eq!(judge(&bytes, start), Verdict::WasWhole);
    }

    #[test]
    fn zeros_at_the_end_of_a_line_may_be_a_tear() {
        let bytes = log(3, 0);
        let line_end = 128;
        for (zeros, verdict) in [(8, Verdict::Torn), (7, Verdict::WasWhole)] {
            let mut torn = bytes.clone();
            torn[line_end - zeros..line_end].fill(0);
            assert_eq!(judge(&torn, 0), verdict, "{zeros} zeros");
        }
        // In the middle of a line nothing can be missing.
        let mut rotten = bytes.clone();
        rotten[70..100].fill(0);
        assert_eq!(judge(&rotten, 0), Verdict::WasWhole);
    }

    #[test]
    fn zeros_from_the_last_byte_to_the_end_of_the_file_may_be_a_tear() {
        let bytes = log(2, 0);
        let last = bytes.len() - 1;
        let mut torn = bytes.clone();
        torn[last] = 0;
        assert_eq!(judge(&torn, RECORD_BYTES), Verdict::Torn);
        torn[last] = b'q';
        assert_eq!(judge(&torn, RECORD_BYTES), Verdict::WasWhole);
    }

    #[test]
    fn an_end_mark_proves_what_it_claims() {
        let (bad, end) = (Lsn(RECORD_BYTES), Lsn(3 * RECORD_BYTES));
        let whole = Verdict::WasWhole;
        let durable = Verdict::WasDurable { proof_offset: end.file_offset() };
        for (synced, verdict) in [(bad, whole), (end, durable)] {
            let mut bytes = log(3, 0);
            let mark = RecordHeader::new(RecordType::End, b"", end, synced, seed());
            bytes.extend(mark.encode(end, seed()));
            bytes[index(bad.0 + 50)] ^= 1;
            let mut suspect = Suspect {
                seed: seed(),
                prewritten_bytes: PREWRITTEN_BYTES,
                stream_end: end.plus(RECORD_HEADER_BYTES),
                bytes: &bytes,
                start: bad,
                header: None,
            };
            suspect.header = suspect.header_at(bad);
            assert_eq!(classify(&suspect), verdict, "synced up to {synced}");
        }
    }
}
