//! CRC-32C seeded with a file's identity and an offset.
//!
//! The seed makes a block that was moved, swapped or left over from another
//! file fail its check, and a client cannot forge a record inside a value
//! because the identity holds random bits it never sees.

/// The part of a checksum that is the same for a whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChecksumSeed(u32);

impl ChecksumSeed {
    /// Derives the seed from bytes that identify the file.
    pub fn from_identity(identity: &[u8]) -> ChecksumSeed {
        ChecksumSeed(crc32c::crc32c(identity))
    }

    /// The checksum of `bytes` stored at `offset` of the file.
    pub fn checksum(self, offset: u64, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c_append(self.0, &offset.to_le_bytes()), bytes)
    }

    /// The checksum of several slices as if they were one.
    pub fn checksum_of_parts(self, offset: u64, parts: &[&[u8]]) -> u32 {
        parts.iter().fold(crc32c::crc32c_append(self.0, &offset.to_le_bytes()), |crc, part| {
            crc32c::crc32c_append(crc, part)
        })
    }

    /// The checksum of what `checksum` covers and of `bytes` behind it: for
    /// what is read a piece at a time.
    pub fn extend(checksum: u32, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(checksum, bytes)
    }

    /// The checksums of all beginnings of `bytes`, the shortest (one byte)
    /// first: for finding where something ends that does not say so.
    pub fn checksums_of_prefixes(self, offset: u64, bytes: &[u8]) -> impl Iterator<Item = u32> {
        let start = crc32c::crc32c_append(self.0, &offset.to_le_bytes());
        bytes.chunks(1).scan(start, |crc, byte| {
            *crc = crc32c::crc32c_append(*crc, byte);
            Some(*crc)
        })
    }
}
