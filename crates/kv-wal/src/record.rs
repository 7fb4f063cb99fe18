//! The header in front of every record.
//!
//! ```text
//!  0  4  CRC-32C of bytes 4..20, seeded with the file and the record's lsn
//!  4  4  payload length in bytes
//!  8  4  unsynced       this record's lsn minus the end of the stream known
//!                       durable when it was written; all ones claims nothing
//! 12  1  type           1 = data, 2 = end of the log; others are reserved
//! 13  1  flags, 0
//! 14  2  reserved, 0
//! 16  4  CRC-32C of the payload, seeded with the file and the record's lsn
//! 20     payload
//! ```
//!
//! The header has its own checksum so that a damaged payload still tells where
//! the next record starts.

use kv_core::{ChecksumSeed, Decoder, Error, Result};

use crate::layout::Lsn;

pub(crate) const RECORD_HEADER_BYTES: usize = 20;

/// Largest payload of a record, in bytes: that of the largest batch, which is
/// also far above the largest metadata record.
pub const MAX_PAYLOAD_BYTES: usize = kv_core::MAX_BATCH_BYTES;

const _: () = assert!(kv_core::MAX_METADATA_BYTES < MAX_PAYLOAD_BYTES);
// A stamp's continuation is at most one whole record.
const _: () = assert!(MAX_PAYLOAD_BYTES + RECORD_HEADER_BYTES <= u32::MAX as usize);

const DATA: u8 = RecordType::Data as u8;
const END: u8 = RecordType::End as u8;

const NOTHING_CLAIMED: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordType {
    Data = 1,
    End = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) payload_bytes: u32,
    unsynced: u32,
    type_byte: u8,
    flags: u8,
    reserved: u16,
    payload_checksum: u32,
}

impl RecordHeader {
    /// The header of a record at `lsn`, written when the stream was durable up
    /// to `synced`.
    pub(crate) fn new(
        record_type: RecordType,
        payload: &[u8],
        lsn: Lsn,
        synced: Lsn,
        seed: ChecksumSeed,
    ) -> RecordHeader {
        RecordHeader {
            payload_bytes: u32::try_from(payload.len()).expect("the length was checked"),
            unsynced: u32::try_from(lsn.0 - synced.0).unwrap_or(NOTHING_CLAIMED),
            type_byte: record_type as u8,
            flags: 0,
            reserved: 0,
            payload_checksum: seed.checksum(lsn.0, payload),
        }
    }

    pub(crate) fn encode(&self, lsn: Lsn, seed: ChecksumSeed) -> [u8; RECORD_HEADER_BYTES] {
        let mut out = [0; RECORD_HEADER_BYTES];
        out[4..8].copy_from_slice(&self.payload_bytes.to_le_bytes());
        out[8..12].copy_from_slice(&self.unsynced.to_le_bytes());
        out[12] = self.type_byte;
        out[13] = self.flags;
        out[14..16].copy_from_slice(&self.reserved.to_le_bytes());
        out[16..].copy_from_slice(&self.payload_checksum.to_le_bytes());
        let checksum = seed.checksum(lsn.0, &out[4..]);
        out[..4].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// The header at `lsn`; `None` if it fails its checksum.
    pub(crate) fn decode(lsn: Lsn, seed: ChecksumSeed, bytes: &[u8]) -> Option<RecordHeader> {
        let mut decoder = Decoder::new(bytes);
        let checksum = decoder.u32()?;
        if seed.checksum(lsn.0, decoder.rest()) != checksum {
            return None;
        }
        Some(RecordHeader {
            payload_bytes: decoder.u32()?,
            unsynced: decoder.u32()?,
            type_byte: decoder.u8()?,
            flags: decoder.u8()?,
            reserved: decoder.u16()?,
            payload_checksum: decoder.u32()?,
        })
    }

    /// What kind of record this is.
    ///
    /// # Errors
    /// `Unsupported` for a type or flag of a later version.
    pub(crate) fn record_type(&self, file: &str) -> Result<RecordType> {
        match (self.type_byte, self.flags, self.reserved) {
            (DATA, 0, 0) => Ok(RecordType::Data),
            (END, 0, 0) => Ok(RecordType::End),
            (type_byte, flags, _) => Err(Error::Unsupported {
                file: file.into(),
                what: format!("log record of type {type_byte} with flags {flags:#x} is unknown"),
            }),
        }
    }

    pub(crate) fn is_end_mark(&self) -> bool {
        self.type_byte == END
    }

    /// The end of the stream that this record, standing at `lsn`, proves to
    /// have been durable.
    pub(crate) fn synced(&self, lsn: Lsn) -> Lsn {
        match self.unsynced {
            NOTHING_CLAIMED => Lsn::START,
            unsynced => Lsn(lsn.0.saturating_sub(u64::from(unsynced))),
        }
    }

    /// Where the record after this one, standing at `lsn`, starts.
    pub(crate) fn end(&self, lsn: Lsn) -> Lsn {
        lsn.plus(RECORD_HEADER_BYTES).plus(self.payload_bytes as usize)
    }

    pub(crate) fn matches(&self, lsn: Lsn, seed: ChecksumSeed, payload: &[u8]) -> bool {
        seed.checksum(lsn.0, payload) == self.payload_checksum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(lsn: u64, synced: u64) -> Lsn {
        let seed = ChecksumSeed::from_identity(b"a file");
        let header = RecordHeader::new(RecordType::Data, b"", Lsn(lsn), Lsn(synced), seed);
        let stored = RecordHeader::decode(Lsn(lsn), seed, &header.encode(Lsn(lsn), seed));
        stored.expect("what was encoded decodes").synced(Lsn(lsn))
    }

    #[test]
    fn a_distance_that_does_not_fit_claims_nothing() {
        let far = 1 << 40;
        assert_eq!(claim(far, far), Lsn(far));
        assert_eq!(claim(far, far - u64::from(u32::MAX - 1)), Lsn(far - u64::from(u32::MAX - 1)));
        assert_eq!(claim(far, far - u64::from(u32::MAX)), Lsn::START);
        assert_eq!(claim(far, 0), Lsn::START);
    }
}
