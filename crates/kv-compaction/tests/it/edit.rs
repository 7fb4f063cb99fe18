//! The stored form of edits: golden bytes, round trips, hostile input.

use std::collections::BTreeMap;

use expect_test::expect;
use kv_compaction::{KeySpan, TableMeta, TableOrigin, TableSlice, VersionEdit};
use kv_core::{ChecksumSeed, DatabaseId, Error, SeqNo};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::drawing::table;

fn seed() -> ChecksumSeed {
    ChecksumSeed::from_identity(b"a manifest")
}

fn decode(bytes: &[u8]) -> Result<VersionEdit, Error> {
    VersionEdit::decode(bytes, seed(), 4096, "MANIFEST_000001")
}

fn sample() -> VersionEdit {
    let mut added = table(13, "apple", "pear", 70_000);
    (added.run, added.deletes, added.checksum) = (12, 7, 0xdead_beef);
    (added.origin, added.file_uid) = (TableOrigin::Compaction, *b"0123456789abcdef");
    VersionEdit {
        keyspace: 0,
        database: Some(DatabaseId([7; 16])),
        added: vec![(2, added)],
        removed: vec![(1, 9), (2, 300)],
        flushed_through: Some(SeqNo(1 << 40)),
        oldest_segment: Some(3),
        newest_segment: None,
        segment_uids: vec![(3, *b"a random segment")],
        segment_ends: vec![(3, 8321)],
        next_file_id: Some(1037),
        properties: BTreeMap::from([("note".into(), b"x".to_vec())]),
    }
}

fn hex(bytes: &[u8]) -> String {
    let lines: Vec<String> = bytes
        .chunks(16)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "))
        .collect();
    lines.join("\n")
}

/// A change here is a change of the format: files of users hold these bytes.
#[test]
fn golden_bytes() {
    let bytes = sample().encode(seed(), 4096).unwrap();
    expect![[r#"
        01 7d 00 00 00 00 00 01 07 07 07 07 07 07 07 07
        07 07 07 07 07 07 07 07 01 fb 0d 04 01 02 0d 0c
        01 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65
        66 fc 70 11 01 00 fc ef be ad de 64 07 05 61 70
        70 6c 65 04 70 65 61 72 fb 14 05 fb 77 05 00 00
        02 01 09 02 fb 2c 01 01 fd 00 00 00 00 00 01 00
        00 01 03 01 03 61 20 72 61 6e 64 6f 6d 20 73 65
        67 6d 65 6e 74 01 03 fb 81 20 01 04 6e 6f 74 65
        01 78 27 6a 5c 1b"#]]
    .assert_eq(&hex(&bytes));
    assert_eq!(decode(&bytes).unwrap(), sample());
    let empty = VersionEdit::default().encode(seed(), 0).unwrap();
    expect![[r#"
        01 0b 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        fe 0b 9f 14"#]]
    .assert_eq(&hex(&empty));
}

fn is_corrupt(result: Result<VersionEdit, Error>) -> bool {
    matches!(result, Err(Error::Corruption { offset: 4096, file, .. }) if file == "MANIFEST_000001")
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let bytes = sample().encode(seed(), 4096).unwrap();
    for at in 0..bytes.len() {
        assert!(is_corrupt(decode(&bytes[..at])), "cut at {at}");
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(is_corrupt(decode(&flipped)), "bit {bit} of byte {at}");
        }
    }
    let elsewhere = VersionEdit::decode(&bytes, seed(), 8192, "MANIFEST_000001");
    assert!(matches!(elsewhere, Err(Error::Corruption { .. })), "an edit belongs to its place");
}

#[test]
fn an_intact_record_that_cannot_be_true_is_corrupt() {
    let changes: [fn(&mut VersionEdit); 6] = [
        |edit| edit.added[0].0 = 7,
        |edit| edit.removed[0].0 = u32::MAX,
        |edit| edit.added[0].1.largest_key = b"a".to_vec(),
        |edit| edit.added[0].1.deletes = 101,
        |edit| edit.added[0].1.largest_seqno = SeqNo(SeqNo::MAX.0 + 1),
        |edit| edit.added[0].1.largest_key = vec![b'z'; 70_000],
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut edit = sample();
        change(&mut edit);
        assert!(is_corrupt(decode(&edit.encode(seed(), 4096).unwrap())), "change {index}");
    }
}

#[test]
fn features_of_later_versions_are_refused_by_name() {
    let refusal = |change: fn(&mut VersionEdit)| {
        let mut edit = sample();
        change(&mut edit);
        match decode(&edit.encode(seed(), 4096).unwrap()) {
            Err(Error::Unsupported { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refusal(|edit| edit.keyspace = 4), "keyspace 4 is unknown");
    let slice = |edit: &mut VersionEdit| {
        let span = KeySpan::new("b", "c");
        edit.added[0].1.slice = Some(TableSlice { file_id: 2, span });
    };
    assert_eq!(refusal(slice), "table 13 is a slice of a file");
    let required = |edit: &mut VersionEdit| {
        edit.added[0].1.properties.insert("!blobs".into(), vec![1]);
    };
    assert_eq!(refusal(required), "property !blobs is unknown");
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..20)
}

prop_compose! {
    fn any_meta()(
        keys in (any_key(), any_key()),
        counts in (1..u64::MAX, any::<u64>()),
        seqnos in (0..SeqNo::MAX.0, 0..SeqNo::MAX.0),
        ids in (any::<u64>(), any::<u64>()),
        file in (any::<u64>(), any::<[u8; 16]>(), any::<u32>(), any::<bool>()),
        properties in btree_map("[a-z]{0,5}", vec(any::<u8>(), 0..5), 0..3),
    ) -> TableMeta {
        TableMeta {
            id: ids.0.max(ids.1),
            run: ids.0.min(ids.1),
            origin: if file.3 { TableOrigin::Flush } else { TableOrigin::Compaction },
            file_uid: file.1,
            file_bytes: file.0,
            checksum: file.2,
            entries: counts.0,
            deletes: counts.1 % counts.0,
            smallest_key: keys.0.clone().min(keys.1.clone()),
            largest_key: keys.0.max(keys.1),
            smallest_seqno: SeqNo(seqnos.0.min(seqnos.1)),
            largest_seqno: SeqNo(seqnos.0.max(seqnos.1)),
            slice: None,
            properties,
        }
    }
}

prop_compose! {
    fn any_edit()(
        added in vec((0u32..7, any_meta()), 0..5),
        removed in vec((0u32..7, any::<u64>()), 0..5),
        database in proptest::option::of(any::<[u8; 16]>()),
        counters in any::<[Option<u64>; 4]>(),
        segment_uids in vec(any::<(u64, [u8; 16])>(), 0..3),
        segment_ends in vec(any::<(u64, u64)>(), 0..3),
        properties in btree_map("[a-z]{0,5}", vec(any::<u8>(), 0..5), 0..3),
    ) -> VersionEdit {
        VersionEdit {
            keyspace: 0,
            database: database.map(DatabaseId),
            added,
            removed,
            flushed_through: counters[0].map(SeqNo),
            oldest_segment: counters[1],
            newest_segment: counters[2],
            segment_uids,
            segment_ends,
            next_file_id: counters[3],
            properties,
        }
    }
}

proptest! {
    #[test]
    fn edits_survive_a_round_trip(edit in any_edit(), offset in any::<u64>()) {
        let bytes = edit.encode(seed(), offset).unwrap();
        prop_assert_eq!(VersionEdit::decode(&bytes, seed(), offset, "m").unwrap(), edit);
    }

    /// Behind a checksum that holds, any payload is decoded or refused.
    #[test]
    fn hostile_payloads_never_panic(payload in vec(any::<u8>(), 0..200)) {
        let mut bytes = vec![1];
        bytes.extend((payload.len() as u32).to_le_bytes());
        bytes.extend(&payload);
        let crc = seed().checksum(4096, &bytes);
        bytes.extend(crc.to_le_bytes());
        let _ = decode(&bytes);
    }
}
