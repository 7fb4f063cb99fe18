//! Takes a table apart and puts it together under right checksums. Written from
//! the description of the format, not with the code that is tested.

use kv_core::{ChecksumSeed, FILE_HEADER_BYTES, FileHeader, FileKind};

const TRAILER_BYTES: usize = 5;
const FOOTER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"kv.sst.f";

/// The parts of a table without their checksums.
#[derive(Debug, Clone)]
pub struct Parts {
    header: FileHeader,
    /// Each stored block followed by its compression byte.
    pub blocks: Vec<Vec<u8>>,
    /// The filter.
    pub filter: Vec<u8>,
    /// The index: its columns of lengths and checksums are made right again.
    pub index: Vec<u8>,
    /// The record of the properties without its checksum.
    pub properties: Vec<u8>,
    /// Version and flags of the footer.
    pub footer_end: Vec<u8>,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> usize {
    let mut field = [0; 8];
    field[..N].copy_from_slice(&bytes[at..at + N]);
    u64::from_le_bytes(field) as usize
}

impl Parts {
    /// The parts of a sound table.
    pub fn of(file: &[u8]) -> Parts {
        let header = FileHeader::decode(FileKind::Table, "table", file).expect("it is sound");
        let footer = &file[file.len() - FOOTER_BYTES..];
        let section = |at: usize| {
            let offset = number::<8>(footer, at);
            &file[offset..offset + number::<4>(footer, at + 8)]
        };
        let (index, properties) = (section(16), section(32));
        let mut blocks = Vec::new();
        let mut offset = FILE_HEADER_BYTES;
        for block in 0..number::<4>(index, 0) {
            let len = number::<4>(index, 8 + 4 * block);
            blocks.push(file[offset..=offset + len].to_vec());
            offset += len + TRAILER_BYTES;
        }
        Parts {
            header,
            blocks,
            filter: section(0).to_vec(),
            index: index.to_vec(),
            properties: properties[..properties.len() - 4].to_vec(),
            footer_end: footer[48..52].to_vec(),
        }
    }

    /// The table of these parts, every checksum right.
    pub fn seal(&self) -> Vec<u8> {
        let seed = self.header.seed();
        let mut file = self.header.encode().to_vec();
        let mut index = self.index.clone();
        for (place, block) in self.blocks.iter().enumerate() {
            let checksum = seed.checksum(file.len() as u64, block);
            file.extend_from_slice(block);
            file.extend_from_slice(&checksum.to_le_bytes());
            let stored_len = (block.len() as u32).saturating_sub(1);
            let columns = [(0, stored_len), (self.blocks.len(), checksum)];
            for (column, field) in columns {
                let at = 8 + 4 * (column + place);
                if let Some(stored) = index.get_mut(at..at + 4) {
                    stored.copy_from_slice(&field.to_le_bytes());
                }
            }
        }
        let mut footer = append_section(&mut file, seed, &self.filter);
        footer.extend(append_section(&mut file, seed, &index));
        let mut properties = self.properties.clone();
        let checksum = seed.checksum(file.len() as u64, &properties);
        properties.extend_from_slice(&checksum.to_le_bytes());
        footer.extend(append_section(&mut file, seed, &properties));
        footer.extend_from_slice(&self.footer_end);
        let checksum = seed.checksum_of_parts(file.len() as u64, &[&footer, MAGIC]);
        file.extend_from_slice(&footer);
        file.extend_from_slice(&checksum.to_le_bytes());
        file.extend_from_slice(MAGIC);
        file
    }
}

/// Appends a section; its entry in the footer.
fn append_section(file: &mut Vec<u8>, seed: ChecksumSeed, section: &[u8]) -> Vec<u8> {
    let offset = file.len() as u64;
    file.extend_from_slice(section);
    let mut entry = offset.to_le_bytes().to_vec();
    entry.extend_from_slice(&(section.len() as u32).to_le_bytes());
    entry.extend_from_slice(&seed.checksum(offset, section).to_le_bytes());
    entry
}
