//! Round trips: what decodes is encoded to the same, and the other way round.

use arbitrary::Arbitrary;
use kv_compaction::VersionEdit;
use kv_core::{
    DatabaseId, DecodedBatch, Decoder, FILE_HEADER_BYTES, FileHeader, FileKind, Kind, WriteBatch,
    put_varint, varint_len,
};

use crate::allocation::{FIXED_BYTES, bounded, bounded_by};
use crate::assert_is_damage;

/// What a decoded edit takes at most of its stored form, which packs what
/// programs need in the open:
///
/// - a removed table and the end of a segment are two numbers, 16 bytes of two,
///   and a list that grows holds its old and its new room, together three times
///   what is in it: 24;
/// - an added table is 224 bytes of 30, in such a list: 23; with one property of
///   three bytes, the first of a map, another 550 for the node: 37 in all;
/// - properties alone: 48 bytes of four in nodes that are half full: 24.
pub const EDIT_GROWTH: usize = 40;

const KINDS: [FileKind; 3] = [FileKind::Wal, FileKind::Manifest, FileKind::Table];

/// Bytes for one of the decoders.
#[derive(Debug, Arbitrary)]
pub enum Input {
    /// Varints in a row.
    Varints(Vec<u8>),
    /// Numbers for varints.
    Numbers(Vec<u64>),
    /// A batch.
    Batch(Vec<u8>),
    /// A header; true to put its checksum right.
    Header(Vec<u8>, bool),
    /// A version edit, whose version, length and checksum are put right.
    Edit(Vec<u8>),
}

/// Decodes, encodes, and compares.
pub fn run(input: &Input) {
    match input {
        Input::Varints(bytes) => varints(bytes),
        Input::Numbers(numbers) => numbers.iter().for_each(|number| {
            let mut stored = Vec::new();
            put_varint(&mut stored, *number);
            assert_eq!(stored.len(), varint_len(*number));
            assert_eq!(Decoder::new(&stored).varint(), Some(*number));
        }),
        Input::Batch(bytes) => batch(bytes),
        Input::Header(bytes, is_sealed) => header(bytes.clone(), *is_sealed),
        Input::Edit(body) => edit(body),
    }
}

fn varints(bytes: &[u8]) {
    let mut decoder = Decoder::new(bytes);
    loop {
        let start = decoder.offset();
        let Some(number) = decoder.varint() else { return };
        let mut stored = Vec::new();
        put_varint(&mut stored, number);
        assert_eq!(stored, bytes[start..decoder.offset()], "a number has one form");
    }
}

fn batch(bytes: &[u8]) {
    let decoded = match bounded(bytes.len(), || DecodedBatch::decode(bytes, "log", 0)) {
        Ok(decoded) => decoded,
        Err(error) => return assert_is_damage(&error),
    };
    let mut batch = WriteBatch::new();
    for op in &decoded.ops {
        let added = match op.kind {
            Kind::Put => batch.put(op.key, op.value),
            Kind::Delete => batch.delete(op.key),
        };
        added.expect("what was decoded is within the limits");
    }
    assert_eq!(batch.seal(decoded.first_seqno), bytes, "a batch has one form");
    assert!(batch.ops().eq(decoded.ops.iter()));
    assert_eq!(decoded.ops.iter().count(), decoded.ops.len());
}

fn header(mut bytes: Vec<u8>, is_sealed: bool) {
    if is_sealed && bytes.len() >= FILE_HEADER_BYTES {
        let checked = FILE_HEADER_BYTES - 4;
        // The checksum of a header has no seed; that of an empty identity is
        // the CRC of nothing, so it is taken from a header that was encoded.
        let checksum = crc(&bytes[..checked]);
        bytes[checked..FILE_HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    }
    for kind in KINDS {
        match bounded(bytes.len(), || FileHeader::decode(kind, "file", &bytes)) {
            Ok(header) => {
                let again = FileHeader::decode(kind, "file", &header.encode());
                assert_eq!(again.expect("it was just encoded"), header);
            }
            Err(error) => assert_is_damage(&error),
        }
    }
}

/// CRC-32C, bit by bit: an independent one, and fast enough for a header.
fn crc(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (POLYNOMIAL * (crc & 1)))
    })
}

fn edit(body: &[u8]) {
    let header = FileHeader {
        kind: FileKind::Manifest,
        database_id: DatabaseId([1; 16]),
        file_id: 1,
        file_uid: [2; 16],
    };
    let (seed, offset) = (header.seed(), 77);
    let mut stored = vec![1];
    stored.extend_from_slice(&(body.len() as u32).to_le_bytes());
    stored.extend_from_slice(body);
    let checksum = seed.checksum(offset, &stored);
    stored.extend_from_slice(&checksum.to_le_bytes());
    let limit = EDIT_GROWTH * stored.len() + FIXED_BYTES;
    let decoded = bounded_by(limit, || VersionEdit::decode(&stored, seed, offset, "manifest"));
    match decoded {
        Ok(edit) => {
            let again = edit.encode(seed, offset).expect("it is small");
            let again = VersionEdit::decode(&again, seed, offset, "manifest");
            assert_eq!(again.expect("it was just encoded"), edit);
        }
        Err(error) => assert_is_damage(&error),
    }
}
