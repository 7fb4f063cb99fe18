//! File headers, checksums and metadata records.

use std::collections::BTreeMap;

use kv_core::{
    ChecksumSeed, DatabaseId, Error, FILE_HEADER_BYTES, FileHeader, FileKind, MAX_METADATA_BYTES,
    decode_metadata, encode_metadata,
};

use crate::allocation::largest_allocation;

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

/// What a later version may write is named, behind a checksum that holds.
#[test]
fn a_header_that_relies_on_something_unknown_says_on_what() {
    for (at, byte, expected) in [
        (8, 2, "format version 2 is not 1"),
        (10, 2, "checksum kind 2 is unknown"),
        (12, 1, "the file is encrypted"),
        (15, 1, "the file is encrypted"),
        (16, 4, "feature bits 0x4 are unknown"),
        (23, 0x80, "feature bits 0x8000000000000000 are unknown"),
    ] {
        let mut bytes = header().encode();
        bytes[at] = byte;
        let crc = crc32c::crc32c(&bytes[..76]);
        bytes[76..].copy_from_slice(&crc.to_le_bytes());
        match FileHeader::decode(FileKind::Table, "f", &bytes) {
            Err(Error::Unsupported { file, what }) => assert_eq!((&*file, &*what), ("f", expected)),
            other => panic!("byte {at}: {other:?}"),
        }
    }
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

/// Records whose checksum holds and that no encoder writes: each is refused
/// where it is wrong, and not read as something else.
#[test]
fn a_forged_record_is_refused_for_what_is_wrong_with_it() {
    let seed = ChecksumSeed::from_identity(b"file");
    let sealed = |record: &[u8]| [record, &seed.checksum(9, record).to_le_bytes()].concat();
    let refused = |bytes: &[u8]| match decode_metadata::<u64>(1, bytes, seed, 9, "f") {
        Err(Error::Corruption { file, offset: 9, what }) if file == "f" => what,
        other => panic!("{bytes:?}: {other:?}"),
    };
    assert_eq!(refused(b"abc"), "the metadata record is too short");
    assert_eq!(refused(&sealed(b"")), "the metadata record is empty");
    assert_eq!(refused(&sealed(b"\x01\x02\0\0")), "the metadata record has no length");
    for payload in [&b""[..], b"\x07", b"\x07\x07\x07"] {
        let record = [b"\x01\x02\0\0\0", payload].concat();
        let what = refused(&sealed(&record));
        assert_eq!(what, "the metadata record has another length than it says");
    }
    let left_over = sealed(b"\x01\x02\0\0\0\x07\x07");
    assert_eq!(refused(&left_over), "the metadata record has bytes left over");
    let what = refused(&sealed(b"\x01\0\0\0\0"));
    assert!(what.starts_with("the metadata record cannot be decoded: "), "{what}");
    let intact = sealed(b"\x01\x01\0\0\0\x07");
    assert_eq!(decode_metadata::<u64>(1, &intact, seed, 9, "f").unwrap(), 7);
}

#[test]
fn a_record_that_could_not_be_read_back_is_not_written() {
    struct Refusing;
    impl serde::Serialize for Refusing {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    let seed = ChecksumSeed::from_identity(b"file");
    let refused = encode_metadata(1, &Refusing, seed, 0);
    assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{refused:?}");
    let refused = encode_metadata(1, &"x".repeat(MAX_METADATA_BYTES), seed, 0).map(drop);
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
}

#[test]
fn records_of_every_size_are_read_back() {
    let seed = ChecksumSeed::from_identity(b"file");
    for bytes in [0, 100, 5 << 10, 100 << 10, 2 << 20] {
        let record = "x".repeat(bytes);
        let stored = encode_metadata(1, &record, seed, 0).unwrap();
        let read: String = decode_metadata(1, &stored, seed, 0, "f").unwrap();
        assert!(read == record, "{bytes} bytes");
    }
}

/// Fields as edits and tables have them.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Bounded {
    #[serde(deserialize_with = "kv_core::bounded_bytes")]
    key: Vec<u8>,
    #[serde(deserialize_with = "kv_core::bounded_list")]
    pairs: Vec<(u32, u64)>,
    #[serde(deserialize_with = "kv_core::bounded_properties")]
    properties: BTreeMap<String, Vec<u8>>,
}

/// The same fields as serde has them.
type Plain = (Vec<u8>, Vec<(u32, u64)>, BTreeMap<String, Vec<u8>>);

#[test]
fn bounded_fields_have_the_stored_form_of_plain_ones() {
    let seed = ChecksumSeed::from_identity(b"file");
    let properties = BTreeMap::from([("a".to_owned(), vec![0xff, 0]), (String::new(), vec![])]);
    let record =
        Bounded { key: b"\0k\xff".to_vec(), pairs: vec![(1, 2), (3, 1 << 40)], properties };
    let stored = encode_metadata(1, &record, seed, 0).unwrap();
    assert_eq!(decode_metadata::<Bounded>(1, &stored, seed, 0, "f").unwrap(), record);
    let (key, pairs, properties) = decode_metadata::<Plain>(1, &stored, seed, 0, "f").unwrap();
    assert_eq!(Bounded { key, pairs, properties }, record);
}

/// Bytes and texts are looked for before memory is taken for them, however
/// little they announce; what a plain field takes is below every limit.
#[test]
fn a_false_length_of_a_bounded_field_is_refused_for_what_is_missing() {
    let seed = ChecksumSeed::from_identity(b"file");
    let stored = |payload: &[u8]| {
        let record = [b"\x01", &(payload.len() as u32).to_le_bytes()[..], payload].concat();
        [&record[..], &seed.checksum(0, &record).to_le_bytes()].concat()
    };
    // The 20,000 of a length as bincode writes it, where each field has its own.
    for before in [&b""[..], b"\0", b"\0\0\x01", b"\0\0\x01\0"] {
        let stored = stored(&[before, b"\xfb\x20\x4e"].concat());
        let (largest, outcome) =
            largest_allocation(|| decode_metadata::<Bounded>(1, &stored, seed, 0, "f"));
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("UnexpectedEnd"), "{before:?}: {error}");
        assert!(largest < 1000, "{before:?}: took {largest} bytes");
        // Else nothing would show that it is measured.
        let (largest, outcome) =
            largest_allocation(|| decode_metadata::<Plain>(1, &stored, seed, 0, "f"));
        assert!(outcome.is_err() && largest >= 20_000, "{before:?}: took {largest} bytes");
    }
    let not_a_text = stored(b"\0\0\x01\x01\xff\0");
    let error = decode_metadata::<Bounded>(1, &not_a_text, seed, 0, "f").unwrap_err().to_string();
    assert!(error.contains("Utf8"), "{error}");
}
