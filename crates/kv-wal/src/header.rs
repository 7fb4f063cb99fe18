//! The start of a log file, before its first frame.
//!
//! ```text
//!  0  80  file header (see kv-core)
//! 80   8  prewritten bytes   length up to which the file was durably filled
//!                            with zeros before its first record
//! 88   4  reserved, 0
//! 92   4  CRC-32C of bytes 80..92, seeded with the file and the offset 80
//! 96      zeros up to 4096
//! ```

use kv_core::{ChecksumSeed, Decoder, Error, FILE_HEADER_BYTES, FileHeader, FileKind, Result};
use kv_env::{Fs, ReadFile};

use crate::layout::FRAME_BYTES;

const LOG_FIELDS_BYTES: usize = 16;
const CHECKED_BYTES: usize = LOG_FIELDS_BYTES - 4;
pub(crate) const LOG_HEADER_BYTES: usize = FILE_HEADER_BYTES + LOG_FIELDS_BYTES;

const _: () = assert!(LOG_HEADER_BYTES <= FRAME_BYTES as usize);

/// Who a log file is, and what its reader must know of how it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogHeader {
    pub(crate) file: FileHeader,
    /// Whatever was never written is zero before this offset of the file.
    /// Behind it, it may be anything: some file systems lengthen a file before
    /// they write its bytes, and a crash in between shows those of old files.
    pub(crate) prewritten_bytes: u64,
}

impl LogHeader {
    /// All that stands before the first frame.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.file.encode().to_vec();
        out.extend_from_slice(&self.prewritten_bytes.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        let checksum = checksum(self.file.seed(), &out[FILE_HEADER_BYTES..]);
        out.extend_from_slice(&checksum.to_le_bytes());
        out.resize(FRAME_BYTES as usize, 0);
        out
    }

    pub(crate) fn read(file: &dyn ReadFile, name: &str, kind: FileKind) -> Result<LogHeader> {
        let mut bytes = [0; LOG_HEADER_BYTES];
        let len = file.read_at(0, &mut bytes)?;
        let header = FileHeader::decode(kind, name, &bytes[..len])?;
        if file.len() < FRAME_BYTES {
            return Err(Error::corruption(name, 0, "the file ends before its first frame"));
        }
        decode_log_fields(&bytes[FILE_HEADER_BYTES..], header.seed())
            .map(|prewritten_bytes| LogHeader { file: header, prewritten_bytes })
            .ok_or_else(|| {
                let what = "the log's part of the header fails its checksum";
                Error::corruption(name, 0, what)
            })
    }
}

fn decode_log_fields(bytes: &[u8], seed: ChecksumSeed) -> Option<u64> {
    let mut decoder = Decoder::new(bytes);
    let checked = decoder.bytes(CHECKED_BYTES)?;
    let prewritten_bytes = Decoder::new(checked).u64()?;
    (decoder.u32()? == checksum(seed, checked)).then_some(prewritten_bytes)
}

fn checksum(seed: ChecksumSeed, log_fields: &[u8]) -> u32 {
    seed.checksum(FILE_HEADER_BYTES as u64, log_fields)
}

/// Reads just the header of the log file `name`, which must be of `kind`.
///
/// # Errors
/// `Io`; `Corruption` at offset 0 for a damaged or incomplete header, as a crash
/// leaves it in a file that was just being created; `Unsupported` for one of a
/// later version.
pub fn read_header(fs: &dyn Fs, name: &str, kind: FileKind) -> Result<FileHeader> {
    Ok(LogHeader::read(&*fs.open(name)?, name, kind)?.file)
}
