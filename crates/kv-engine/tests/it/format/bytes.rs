//! Numbers, checksums, hashes and the header that starts every file.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// CRC-32C, one bit at a time: the reflected Castagnoli polynomial.
pub(super) fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut crc = !0u32;
    for &byte in parts.iter().copied().flatten() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    !crc
}

/// Takes numbers off the front of a slice.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, len: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(len);
        self.0 = rest;
        head
    }

    pub(super) fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take(2).try_into().unwrap())
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }

    /// LEB128.
    pub(super) fn varint(&mut self) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8();
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
        }
        panic!("a varint has ten bytes at most");
    }

    /// An integer of a metadata record.
    pub(super) fn integer(&mut self) -> u64 {
        match self.u8() {
            251 => u64::from(self.u16()),
            252 => u64::from(self.u32()),
            253 => self.u64(),
            byte => u64::from(byte),
        }
    }

    /// A list of bytes or a string of a metadata record.
    pub(super) fn list(&mut self) -> &'a [u8] {
        let len = self.integer() as usize;
        self.take(len)
    }

    pub(super) fn option(&mut self) -> Option<u64> {
        (self.u8() == 1).then(|| self.integer())
    }
}

/// Who a file is.
pub(super) struct FileHeader {
    pub(super) file_id: u64,
    /// Database id, file id and file uid: what checksums are seeded with.
    identity: Vec<u8>,
}

impl FileHeader {
    pub(super) fn read(file: &[u8], magic: &[u8; 8]) -> FileHeader {
        let header = &file[..80];
        assert_eq!(&header[..8], magic);
        assert_eq!(crc32c(&[&header[..76]]).to_le_bytes(), header[76..80]);
        let mut reader = Reader(&header[8..]);
        assert_eq!((reader.u16(), reader.u8(), reader.u8()), (1, 1, 0));
        assert_eq!((reader.u32(), reader.u64()), (0, 0));
        let identity = header[24..64].to_vec();
        FileHeader { file_id: u64::from_le_bytes(header[40..48].try_into().unwrap()), identity }
    }

    pub(super) fn checksum(&self, offset: u64, bytes: &[u8]) -> u32 {
        crc32c(&[&self.identity, &offset.to_le_bytes(), bytes])
    }

    /// The hash of a key for filters and tags.
    pub(super) fn key_hash(&self, key: &[u8]) -> u64 {
        let seed = self.identity[..8].try_into().unwrap();
        xxh3_64_with_seed(key, u64::from_le_bytes(seed))
    }

    /// The payload of a metadata record of version 1.
    pub(super) fn metadata<'a>(&self, offset: u64, record: &'a [u8]) -> Reader<'a> {
        let (checked, checksum) = record.split_at(record.len() - 4);
        assert_eq!(self.checksum(offset, checked).to_le_bytes(), checksum);
        let mut reader = Reader(checked);
        assert_eq!(reader.u8(), 1);
        let len = reader.u32() as usize;
        assert_eq!(reader.0.len(), len);
        reader
    }
}
