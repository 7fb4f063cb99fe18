//! The stamp at the start of every frame: a foothold behind a damaged record.
//!
//! ```text
//!  0  4  CRC-32C of bytes 4..16, seeded with the file and the frame's offset
//!  4  4  continuation   bytes of the stream from here to the start of the
//!                       next record; 0 if one starts the frame
//!  8  8  synced         end of the stream known durable when this was written
//! ```
//!
//! No byte of a payload ever stands at the start of a frame, so a valid stamp
//! was put there by the log itself.

use kv_core::{ChecksumSeed, Decoder};

use crate::layout::{Lsn, STAMP_BYTES};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameStamp {
    pub(crate) continuation: u32,
    pub(crate) synced: Lsn,
}

impl FrameStamp {
    pub(crate) fn encode(
        self,
        seed: ChecksumSeed,
        frame_offset: u64,
    ) -> [u8; STAMP_BYTES as usize] {
        let mut out = [0; STAMP_BYTES as usize];
        out[4..8].copy_from_slice(&self.continuation.to_le_bytes());
        out[8..].copy_from_slice(&self.synced.0.to_le_bytes());
        let checksum = seed.checksum(frame_offset, &out[4..]);
        out[..4].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// The stamp at the start of `frame`; `None` if it fails its checksum.
    pub(crate) fn decode(
        seed: ChecksumSeed,
        frame_offset: u64,
        frame: &[u8],
    ) -> Option<FrameStamp> {
        let mut decoder = Decoder::new(frame.get(..STAMP_BYTES as usize)?);
        let checksum = decoder.u32()?;
        if seed.checksum(frame_offset, decoder.rest()) != checksum {
            return None;
        }
        Some(FrameStamp { continuation: decoder.u32()?, synced: Lsn(decoder.u64()?) })
    }
}
