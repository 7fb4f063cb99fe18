//! The header that starts every file of a database.
//!
//! ```text
//!  0  8  magic            which kind of file
//!  8  2  format version   u16
//! 10  1  checksum kind    1 = CRC-32C
//! 11  1  reserved, 0
//! 12  4  encryption key   u32, 0 = not encrypted; reserved
//! 16  8  feature bits     u64, all 0 today; an unknown bit is refused
//! 24 16  database id      random, the same in every file of a database
//! 40  8  file id          u64
//! 48 16  file uid         random, never used twice
//! 64 12  reserved, 0
//! 76  4  CRC-32C of bytes 0..76
//! ```

use crate::checksum::ChecksumSeed;
use crate::error::{Error, Result};

/// Size of a file header; a multiple of 16 so that what follows is aligned.
pub const FILE_HEADER_BYTES: usize = 80;

/// The format version this build writes and reads.
pub const FORMAT_VERSION: u16 = 1;

const CHECKSUM_CRC32C: u8 = 1;
const CHECKED_BYTES: usize = FILE_HEADER_BYTES - 4;

/// The kinds of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A segment of the write-ahead log.
    Wal,
    /// The log of version edits.
    Manifest,
    /// An immutable sorted table.
    Table,
}

impl FileKind {
    fn magic(self) -> [u8; 8] {
        match self {
            FileKind::Wal => *b"kv.wal\r\n",
            FileKind::Manifest => *b"kv.mft\r\n",
            FileKind::Table => *b"kv.sst\r\n",
        }
    }
}

/// Random id of a database, in the header of each of its files.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub struct DatabaseId(pub [u8; 16]);

/// Who a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// What the file holds.
    pub kind: FileKind,
    /// The database it belongs to.
    pub database_id: DatabaseId,
    /// Its number: names are for people, this is its identity.
    pub file_id: u64,
    /// Random bits of this very file.
    pub file_uid: [u8; 16],
}

impl FileHeader {
    /// The stored form.
    pub fn encode(&self) -> [u8; FILE_HEADER_BYTES] {
        let mut out = [0; FILE_HEADER_BYTES];
        out[..8].copy_from_slice(&self.kind.magic());
        out[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[10] = CHECKSUM_CRC32C;
        out[24..40].copy_from_slice(&self.database_id.0);
        out[40..48].copy_from_slice(&self.file_id.to_le_bytes());
        out[48..64].copy_from_slice(&self.file_uid);
        let crc = crc32c::crc32c(&out[..CHECKED_BYTES]);
        out[CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header of `file`, which must be of `kind`.
    ///
    /// # Errors
    /// `Corruption` for bytes that are no intact header of that kind,
    /// `Unsupported` for an intact one that this build does not know.
    pub fn decode(kind: FileKind, file: &str, bytes: &[u8]) -> Result<FileHeader> {
        let corrupt = |what: &str| Error::corruption(file, 0, what);
        let header = bytes
            .first_chunk::<FILE_HEADER_BYTES>()
            .ok_or_else(|| corrupt("the file is shorter than its header"))?;
        let fields = header.first_chunk::<CHECKED_BYTES>().expect("the checksum stands behind it");
        if crc32c::crc32c(fields).to_le_bytes() != header[CHECKED_BYTES..] {
            return Err(corrupt("the header fails its checksum"));
        }
        decode_fields(kind, file, fields)
    }

    /// The seed of every checksum in this file.
    pub fn seed(&self) -> ChecksumSeed {
        let mut identity = [0; 40];
        identity[..16].copy_from_slice(&self.database_id.0);
        identity[16..24].copy_from_slice(&self.file_id.to_le_bytes());
        identity[24..].copy_from_slice(&self.file_uid);
        ChecksumSeed::from_identity(&identity)
    }
}

fn decode_fields(kind: FileKind, file: &str, fields: &[u8; CHECKED_BYTES]) -> Result<FileHeader> {
    let unsupported = |what: String| Err(Error::Unsupported { file: file.into(), what });
    if field(fields, 0) != kind.magic() {
        return Err(Error::corruption(file, 0, "the file is of another kind"));
    }
    let version = u16::from_le_bytes(field(fields, 8));
    if version != FORMAT_VERSION {
        return unsupported(format!("format version {version} is not {FORMAT_VERSION}"));
    }
    let [checksum_kind] = field(fields, 10);
    if checksum_kind != CHECKSUM_CRC32C {
        return unsupported(format!("checksum kind {checksum_kind} is unknown"));
    }
    if field(fields, 12) != [0; 4] {
        return unsupported("the file is encrypted".into());
    }
    let features = u64::from_le_bytes(field(fields, 16));
    if features != 0 {
        return unsupported(format!("feature bits {features:#x} are unknown"));
    }
    Ok(FileHeader {
        kind,
        database_id: DatabaseId(field(fields, 24)),
        file_id: u64::from_le_bytes(field(fields, 40)),
        file_uid: field(fields, 48),
    })
}

/// The field at one of the places that the layout above names: inside.
fn field<const N: usize>(fields: &[u8; CHECKED_BYTES], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&fields[at..at + N]);
    field
}
