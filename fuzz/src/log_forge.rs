//! Writes log files from the description of their format, not with the code
//! that is tested: so they may say what a log writer never would, under right
//! checksums.

use arbitrary::Arbitrary;
use kv_core::{ChecksumSeed, FILE_HEADER_BYTES, FileHeader};

/// Where the first frame starts, and the length of each.
pub const FRAME_BYTES: usize = 4096;

const STAMP_BYTES: usize = 16;
const FRAME_DATA_BYTES: usize = FRAME_BYTES - STAMP_BYTES;
const RECORD_HEADER_BYTES: usize = 20;

const DATA: u8 = 1;
const END: u8 = 2;

/// What may be untrue in the header of a record.
#[derive(Debug, Clone, Default, Arbitrary)]
pub struct Lies {
    /// How far the log was synced, less than the record's place.
    pub unsynced: Option<u32>,
    /// Another type.
    pub record_type: Option<u8>,
    /// Flags.
    pub flags: Option<u8>,
    /// Another length than that of the payload.
    pub length: Option<u32>,
    /// A checksum that does not fit.
    pub payload_checksum: Option<u32>,
}

/// A log to be written.
pub struct LogForge {
    seed: ChecksumSeed,
    header: Vec<u8>,
    stream: Vec<u8>,
    starts: Vec<usize>,
    /// Offset of the first byte of each record whose payload is to be checked.
    claims: Vec<u64>,
}

impl LogForge {
    /// A log without records, which was filled with zeros up to
    /// `prewritten_bytes`.
    pub fn new(header: FileHeader, prewritten_bytes: u64) -> LogForge {
        let seed = header.seed();
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(&prewritten_bytes.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        let checksum = seed.checksum(FILE_HEADER_BYTES as u64, &bytes[FILE_HEADER_BYTES..]);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes.resize(FRAME_BYTES, 0);
        LogForge { seed, header: bytes, stream: Vec::new(), starts: Vec::new(), claims: Vec::new() }
    }

    /// Where the next record starts in the stream.
    pub fn lsn(&self) -> u64 {
        self.stream.len() as u64
    }

    /// Appends a record.
    pub fn append(&mut self, payload: &[u8], lies: &Lies) {
        self.record(DATA, payload, lies);
    }

    /// Appends the mark of a log that was finished.
    pub fn finish(&mut self) {
        self.record(END, &[], &Lies { unsynced: Some(0), ..Lies::default() });
    }

    fn record(&mut self, record_type: u8, payload: &[u8], lies: &Lies) {
        let lsn = self.lsn();
        let unsynced = lies.unsynced.unwrap_or(u32::MAX);
        let mut checked = Vec::new();
        checked.extend_from_slice(&lies.length.unwrap_or(payload.len() as u32).to_le_bytes());
        checked.extend_from_slice(&unsynced.to_le_bytes());
        checked.push(lies.record_type.unwrap_or(record_type));
        checked.push(lies.flags.unwrap_or(0));
        checked.extend_from_slice(&[0; 2]);
        let payload_checksum = self.seed.checksum(lsn, payload);
        checked.extend_from_slice(&lies.payload_checksum.unwrap_or(payload_checksum).to_le_bytes());
        assert_eq!(checked.len() + 4, RECORD_HEADER_BYTES);
        self.starts.push(self.stream.len());
        self.claims.push(match unsynced {
            u32::MAX => 0,
            unsynced => lsn.saturating_sub(u64::from(unsynced)),
        });
        self.stream.extend_from_slice(&self.seed.checksum(lsn, &checked).to_le_bytes());
        self.stream.extend_from_slice(&checked);
        self.stream.extend_from_slice(payload);
    }

    /// The file, at least `file_bytes` long.
    pub fn seal(&self, file_bytes: usize) -> Vec<u8> {
        let mut file = self.header.clone();
        for (frame, data) in self.stream.chunks(FRAME_DATA_BYTES).enumerate() {
            let offset = file.len() as u64;
            let checked = self.stamp(frame * FRAME_DATA_BYTES);
            file.extend_from_slice(&self.seed.checksum(offset, &checked).to_le_bytes());
            file.extend_from_slice(&checked);
            file.extend_from_slice(data);
        }
        file.resize(file.len().max(file_bytes), 0);
        file
    }

    /// The checked part of the stamp of the frame that starts at `start`.
    fn stamp(&self, start: usize) -> Vec<u8> {
        let next = self.starts.partition_point(|&record| record < start);
        let next_start = self.starts.get(next).copied().unwrap_or(self.stream.len());
        let synced = next.checked_sub(1).map_or(0, |record| self.claims[record]);
        let mut checked = ((next_start - start) as u32).to_le_bytes().to_vec();
        checked.extend_from_slice(&synced.to_le_bytes());
        checked
    }
}
