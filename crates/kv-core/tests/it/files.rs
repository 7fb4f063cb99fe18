//! File headers, checksums and metadata records.

use kv_core::{
    ChecksumSeed, DatabaseId, Error, FILE_HEADER_BYTES, FileHeader, FileKind, decode_metadata,
    encode_metadata,
};

fn header() -> FileHeader {
    FileHeader {
        kind: FileKind::Table,
        database_id: DatabaseId([1; 16]),
        file_id: 13,
        file_uid: [2; 16],
    }
}

#[test]
fn every_flipped_bit_of_a_header_is_found() {
    let bytes = header().encode();
    assert_eq!(FileHeader::decode(FileKind::Table, "f", &bytes).unwrap(), header());
    for bit in 0..FILE_HEADER_BYTES * 8 {
        let mut damaged = bytes;
        damaged[bit / 8] ^= 1 << (bit % 8);
        let error = FileHeader::decode(FileKind::Table, "f", &damaged).unwrap_err();
        assert!(matches!(error, Error::Corruption { .. }), "bit {bit}: {error}");
    }
}

#[test]
fn a_header_of_another_kind_or_time_is_refused() {
    let bytes = header().encode();
    assert!(FileHeader::decode(FileKind::Wal, "f", &bytes).is_err());
    assert!(FileHeader::decode(FileKind::Table, "f", &bytes[..79]).is_err());
    let mut newer = bytes;
    newer[8] = 2;
    let crc = crc32c::crc32c(&newer[..76]);
    newer[76..].copy_from_slice(&crc.to_le_bytes());
    let error = FileHeader::decode(FileKind::Table, "f", &newer).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

#[test]
fn a_checksum_depends_on_file_and_place() {
    let seed = header().seed();
    let other = FileHeader { file_id: 14, ..header() }.seed();
    assert_eq!(seed.checksum(8, b"ab"), seed.checksum_of_parts(8, &[b"a", b"b"]));
    assert_ne!(seed.checksum(8, b"ab"), seed.checksum(9, b"ab"));
    assert_ne!(seed.checksum(8, b"ab"), other.checksum(8, b"ab"));
}

#[test]
fn metadata_survives_and_damage_is_found() {
    let seed = ChecksumSeed::from_identity(b"file");
    let record = (7u64, vec!["name".to_owned()], Some(3u8));
    let bytes = encode_metadata(1, &record, seed, 40).unwrap();
    let decode = |version, bytes: &[u8], offset| {
        decode_metadata::<(u64, Vec<String>, Option<u8>)>(version, bytes, seed, offset, "f")
    };
    assert_eq!(decode(1, &bytes, 40).unwrap(), record);
    assert!(decode(1, &bytes, 41).is_err(), "another place");
    assert!(matches!(decode(2, &bytes, 40), Err(Error::Unsupported { .. })));
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(1, &damaged, 40).is_err(), "bit {bit}");
    }
}

/// A text that announces more than the record holds is refused by its length,
/// before memory is taken for it.
#[test]
fn a_false_length_in_a_record_asks_for_no_memory() {
    let seed = ChecksumSeed::from_identity(b"file");
    let mut bytes = encode_metadata(1, &vec![0u8; 20], seed, 0).unwrap();
    // A length of four bytes behind its mark, in place of the bytes.
    bytes[5..10].copy_from_slice(b"\xfc\x00\x00\x00\x03");
    let end = bytes.len() - 4;
    let checksum = seed.checksum(0, &bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
    let error = decode_metadata::<String>(1, &bytes, seed, 0, "f").unwrap_err();
    assert!(error.to_string().contains("LimitExceeded"), "{error}");
}

/// Small numbers take eight times their stored form in memory: a record that
/// could be written can be read.
#[test]
fn a_large_record_of_small_numbers_is_read_back() {
    let seed = ChecksumSeed::from_identity(b"file");
    let record = vec![1u64; (64 << 20) / 8 + 1];
    let bytes = encode_metadata(1, &record, seed, 0).unwrap();
    let read: Vec<u64> = decode_metadata(1, &bytes, seed, 0, "f").unwrap();
    assert!(read == record);
}
