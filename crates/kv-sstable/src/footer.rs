//! The last 64 bytes of a table: where its sections are.
//!
//! ```text
//!  0 16  filter      u64 offset | u32 length, 0 = none | u32 CRC-32C
//! 16 16  index       likewise
//! 32 16  properties  likewise
//! 48  2  table version, u16, 1
//! 50  2  flags, u16, 0
//! 52  4  CRC-32C of bytes 0..52 and 56..64
//! 56  8  magic
//! ```
//!
//! Blocks, filter, index, properties and footer follow each other without a
//! gap. All checksums are seeded with the file and the offset of what they
//! cover, this one with the offset of the footer. It covers the checksums of
//! the sections, and the index those of the blocks: it stands for every byte
//! of the file.

use kv_core::{ChecksumSeed, Decoder, FILE_HEADER_BYTES};

use crate::defect::Defect;

/// Size of the footer.
pub(crate) const FOOTER_BYTES: usize = 64;

const MAGIC: [u8; 8] = *b"kv.sst.f";
const TABLE_VERSION: u16 = 1;
const CHECKED_BYTES: usize = 52;

/// A part of the file behind the blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) offset: u64,
    pub(crate) len: u32,
    pub(crate) checksum: u32,
}

impl Section {
    pub(crate) fn end(&self) -> u64 {
        self.offset + u64::from(self.len)
    }
}

/// The sections of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) filter: Section,
    pub(crate) index: Section,
    pub(crate) properties: Section,
}

impl Footer {
    /// The stored form, for right behind the properties; and its checksum.
    pub(crate) fn encode(&self, seed: ChecksumSeed) -> ([u8; FOOTER_BYTES], u32) {
        let mut out = [0; FOOTER_BYTES];
        for (index, section) in [self.filter, self.index, self.properties].iter().enumerate() {
            let field = &mut out[16 * index..];
            field[..8].copy_from_slice(&section.offset.to_le_bytes());
            field[8..12].copy_from_slice(&section.len.to_le_bytes());
            field[12..16].copy_from_slice(&section.checksum.to_le_bytes());
        }
        out[48..50].copy_from_slice(&TABLE_VERSION.to_le_bytes());
        let checksum =
            seed.checksum_of_parts(self.properties.end(), &[&out[..CHECKED_BYTES], &MAGIC]);
        out[CHECKED_BYTES..56].copy_from_slice(&checksum.to_le_bytes());
        out[56..].copy_from_slice(&MAGIC);
        (out, checksum)
    }

    /// Decodes the footer that stands at `offset`; and its checksum.
    pub(crate) fn decode(
        bytes: &[u8; FOOTER_BYTES],
        offset: u64,
        seed: ChecksumSeed,
    ) -> Result<(Footer, u32), Defect> {
        let (checked, magic) = (&bytes[..CHECKED_BYTES], &bytes[56..]);
        if magic != MAGIC {
            return Err(Defect::Damaged("the file does not end in a table footer"));
        }
        let checksum = seed.checksum_of_parts(offset, &[checked, magic]);
        if checksum.to_le_bytes() != bytes[CHECKED_BYTES..56] {
            return Err(Defect::Damaged("the footer fails its checksum"));
        }
        let mut decoder = Decoder::new(checked);
        let (Some(filter), Some(index), Some(properties), Some(version), Some(flags)) = (
            take_section(&mut decoder),
            take_section(&mut decoder),
            take_section(&mut decoder),
            decoder.u16(),
            decoder.u16(),
        ) else {
            return Err(Defect::Damaged("the footer is cut off"));
        };
        if version != TABLE_VERSION {
            return Err(Defect::Unknown("table version", u64::from(version)));
        }
        if flags != 0 {
            return Err(Defect::Unknown("table flags", u64::from(flags)));
        }
        let footer = Footer { filter, index, properties };
        footer.check_order(offset)?;
        Ok((footer, checksum))
    }

    fn check_order(&self, footer_offset: u64) -> Result<(), Defect> {
        let mut end = self.filter.offset;
        for (section, next) in [
            (self.filter, self.index.offset),
            (self.index, self.properties.offset),
            (self.properties, footer_offset),
        ] {
            end = end.saturating_add(u64::from(section.len));
            if end != next {
                return Err(Defect::Damaged("the sections of the table do not follow each other"));
            }
        }
        if self.filter.offset < FILE_HEADER_BYTES as u64 {
            return Err(Defect::Damaged("the sections of the table overlap its header"));
        }
        Ok(())
    }
}

fn take_section(decoder: &mut Decoder<'_>) -> Option<Section> {
    Some(Section { offset: decoder.u64()?, len: decoder.u32()?, checksum: decoder.u32()? })
}
