//! Takes a table apart and puts it together with right checksums, so that a
//! test can reach the decoders behind them. Written from the description of
//! the format, not with the code that is tested.

use kv_core::{ChecksumSeed, FILE_HEADER_BYTES, FileHeader, FileKind};

const TRAILER_BYTES: usize = 5;
const FOOTER_BYTES: usize = 64;

/// The parts of a table without their checksums.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) header: FileHeader,
    /// Each stored block followed by its compression byte.
    pub(crate) blocks: Vec<Vec<u8>>,
    pub(crate) filter: Vec<u8>,
    /// The columns of the index in their order: lengths, checksums, ends of
    /// separators; then the separators. `seal` writes lengths and checksums of
    /// the blocks over the first two if they fit.
    pub(crate) index: Vec<u8>,
    /// The record of the properties without its checksum.
    pub(crate) properties: Vec<u8>,
    /// Version and flags of the footer.
    pub(crate) footer_end: Vec<u8>,
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn u64_at(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

impl Parts {
    pub(crate) fn of(file: &[u8]) -> Parts {
        let header = FileHeader::decode(FileKind::Table, "table", file).unwrap();
        let footer = &file[file.len() - FOOTER_BYTES..];
        let section = |at: usize| {
            let offset = u64_at(footer, at);
            &file[offset..offset + u32_at(footer, at + 8)]
        };
        let (filter, index, properties) = (section(0), section(16), section(32));
        let mut blocks = Vec::new();
        let mut offset = FILE_HEADER_BYTES;
        for number in 0..u32_at(index, 0) {
            let len = u32_at(index, 8 + 4 * number);
            blocks.push(file[offset..offset + len + 1].to_vec());
            offset += len + TRAILER_BYTES;
        }
        Parts {
            header,
            blocks,
            filter: filter.to_vec(),
            index: index.to_vec(),
            properties: properties[..properties.len() - 4].to_vec(),
            footer_end: footer[48..52].to_vec(),
        }
    }

    /// The table of these parts, every checksum right.
    pub(crate) fn seal(&self) -> Vec<u8> {
        self.seal_with(|_| {}, |_| {})
    }

    /// The same, with a last change to the index and to the sections that the
    /// footer names.
    pub(crate) fn seal_with(
        &self,
        change_index: impl FnOnce(&mut Vec<u8>),
        change_footer: impl FnOnce(&mut [u8]),
    ) -> Vec<u8> {
        let seed = self.header.seed();
        let mut file = self.header.encode().to_vec();
        let mut index = self.index.clone();
        for (number, block) in self.blocks.iter().enumerate() {
            let checksum = append_checked(&mut file, seed, block);
            let columns = [(0, block.len() as u32 - 1), (self.blocks.len(), checksum)];
            for (column, field) in columns {
                let at = 8 + 4 * (column + number);
                if let Some(stored) = index.get_mut(at..at + 4) {
                    stored.copy_from_slice(&field.to_le_bytes());
                }
            }
        }
        change_index(&mut index);
        let filter = append_section(&mut file, seed, &self.filter);
        let index = append_section(&mut file, seed, &index);
        let mut properties = self.properties.clone();
        let checksum = seed.checksum(file.len() as u64, &properties);
        properties.extend_from_slice(&checksum.to_le_bytes());
        let properties = append_section(&mut file, seed, &properties);
        let mut footer = [filter, index, properties].concat();
        change_footer(&mut footer);
        footer.extend_from_slice(&self.footer_end);
        let magic = b"kv.sst.f";
        let checksum = seed.checksum_of_parts(file.len() as u64, &[&footer, magic]);
        file.extend_from_slice(&footer);
        file.extend_from_slice(&checksum.to_le_bytes());
        file.extend_from_slice(magic);
        file
    }
}

fn append_checked(file: &mut Vec<u8>, seed: ChecksumSeed, block: &[u8]) -> u32 {
    let checksum = seed.checksum(file.len() as u64, block);
    file.extend_from_slice(block);
    file.extend_from_slice(&checksum.to_le_bytes());
    checksum
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
