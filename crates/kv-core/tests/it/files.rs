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
