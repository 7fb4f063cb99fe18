//! Edits that are stored as several records.

use kv_compaction::{EditAssembly, TableMeta, VersionEdit};
use kv_core::{ChecksumSeed, DatabaseId, Error, MAX_KEY_BYTES, MAX_METADATA_BYTES, SeqNo};

use crate::drawing::table;

/// What a record holds at most, keys of the table that is one too many included.
const RECORD_BYTES: usize = 1 << 20;

fn seed() -> ChecksumSeed {
    ChecksumSeed::from_identity(b"a manifest")
}

/// A table with the longest keys that there are.
fn giant(id: u64) -> TableMeta {
    let mut meta = table(id, "a", "b", 100);
    meta.smallest_key = vec![b'k'; MAX_KEY_BYTES];
    meta.smallest_key[..8].copy_from_slice(&id.to_be_bytes());
    meta.largest_key = meta.smallest_key.clone();
    meta
}

fn edit_of(tables: u64) -> VersionEdit {
    VersionEdit {
        database: Some(DatabaseId([7; 16])),
        added: (1..=tables).map(|id| (1 + id as u32 % 6, giant(id))).collect(),
        removed: vec![(0, 9), (2, 300)],
        flushed_through: Some(SeqNo(77)),
        oldest_segment: Some(3),
        newest_segment: Some(4),
        segment_uids: vec![(3, [3; 16]), (4, [4; 16])],
        segment_ends: vec![(3, 8321)],
        next_file_id: Some(1037),
        properties: [("scrub".to_owned(), b"1 2 3 4".to_vec())].into(),
        ..VersionEdit::default()
    }
}

/// The records as they are stored, and read again.
fn stored(edit: &VersionEdit) -> Vec<VersionEdit> {
    let records = edit.records().map(|record| {
        let bytes = record.encode(seed(), 5).unwrap();
        assert!(bytes.len() <= RECORD_BYTES, "{} bytes", bytes.len());
        let again = VersionEdit::decode(&bytes, seed(), 5, "MANIFEST_000001").unwrap();
        assert_eq!(again, *record);
        again
    });
    records.collect()
}

fn assemble(records: &[VersionEdit]) -> Result<Vec<VersionEdit>, Error> {
    let mut assembly = EditAssembly::default();
    let mut edits = Vec::new();
    for record in records {
        edits.extend(assembly.add(record.clone())?);
    }
    Ok(edits)
}

/// 520 tables of the longest keys are 68 MB, more than one record may hold.
#[test]
fn an_edit_of_any_length_is_stored_and_put_together_again() {
    let longest = edit_of(520);
    assert!(matches!(longest.encode(seed(), 5), Err(Error::TooLarge { .. })));
    for (tables, count) in [(0, 1), (7, 1), (8, 2), (14, 2), (520, 75)] {
        let edit = edit_of(tables);
        let records = stored(&edit);
        assert_eq!(records.len(), count, "{tables} tables");
        let left: Vec<u64> = records.iter().map(VersionEdit::records_left).collect();
        assert_eq!(left, (0..count as u64).rev().collect::<Vec<_>>());
        assert!(records.iter().all(|record| record.database == edit.database));
        assert_eq!(assemble(&records).unwrap(), [edit], "{tables} tables");
    }
}

/// Those of builds that know of no other records.
#[test]
fn an_edit_that_is_not_long_is_one_record_as_it_is() {
    let mut edit = edit_of(0);
    edit.added = (1..=5000).map(|id| (0, table(id, "from here", "to there", 100))).collect();
    let [record] = &edit.records().collect::<Vec<_>>()[..] else { panic!("one record") };
    assert_eq!(**record, edit);
}

/// However much stands in it besides, and however little.
#[test]
fn the_first_record_holds_all_but_the_tables_that_do_not_fit() {
    let mut edit = edit_of(1);
    edit.removed = (0..100_000).map(|id| (1, id)).collect();
    let records: Vec<_> = edit.records().map(std::borrow::Cow::into_owned).collect();
    let tables: Vec<usize> = records.iter().map(|record| record.added.len()).collect();
    assert_eq!(tables, [0, 1]);
    assert_eq!(assemble(&records).unwrap(), [edit]);
    const { assert!(100_000 * 14 < MAX_METADATA_BYTES) };
}

#[test]
fn an_edit_without_its_last_record_is_not_there() {
    let records = stored(&edit_of(30));
    for count in 0..records.len() {
        assert_eq!(assemble(&records[..count]).unwrap(), [], "{count} records");
    }
    let mut assembly = EditAssembly::default();
    assert!(!assembly.is_in_between());
    assembly.add(records[0].clone()).unwrap();
    assert!(assembly.is_in_between());
}

#[test]
fn records_that_do_not_belong_together_are_refused() {
    let records = stored(&edit_of(30));
    let mut of_another = records[1].clone();
    of_another.database = Some(DatabaseId([8; 16]));
    let mut with_more = records[1].clone();
    with_more.removed.push((1, 1));
    let mut endless = records[1].clone();
    endless.properties.insert("!records_left".into(), u64::MAX.to_string().into_bytes());
    for (what, second) in [
        ("the first again", &records[0]),
        ("one is missing", &records[2]),
        ("the last", records.last().unwrap()),
        ("of another database", &of_another),
        ("it says more", &with_more),
        ("it says that all follow", &endless),
    ] {
        let error = assemble(&[records[0].clone(), second.clone()]).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{what}: {error}");
    }
}

#[test]
fn a_number_of_records_that_is_none_is_damage() {
    for value in ["", "0", "-1", "1.5", "one", "99999999999999999999"] {
        let mut edit = edit_of(0);
        edit.properties.insert("!records_left".into(), value.into());
        let bytes = edit.encode(seed(), 5).unwrap();
        let error = VersionEdit::decode(&bytes, seed(), 5, "MANIFEST_000001").unwrap_err();
        assert!(matches!(error, Error::Corruption { offset: 5, .. }), "{value}: {error}");
    }
}
