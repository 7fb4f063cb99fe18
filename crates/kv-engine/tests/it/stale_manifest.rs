//! File systems that make a file longer before they write to it: a manifest whose
//! creation the power cut short has its length and anything in its sectors.

use kv_core::{FileHeader, FileKind};
use kv_engine::{
    Engine, Error, VersionEdit, current_manifest, read_manifest_edits, verify_directory,
};
use kv_env::{CrashChoice, SimDisk};
use kv_wal::LogWriter;

use crate::support::{contents, generations, open, tiny};

const HEADER_BYTES: usize = 4096;
const SECTOR_BYTES: usize = 512;

/// What the manifest of `disk` says: its snapshot, and edits.
fn edits_of(disk: &SimDisk) -> Vec<VersionEdit> {
    let name = current_manifest(&disk.env()).unwrap().unwrap();
    read_manifest_edits(&*disk.fs(), &name).unwrap()
}

/// A successor of the manifest of `disk`, of which `records` were written: the
/// snapshot, and an edit.
fn successor(disk: &SimDisk, id: u64, records: usize) -> Vec<u8> {
    successor_with(disk, id, &edits_of(disk)[..records])
}

/// A successor of the manifest of `disk` in which that was written.
fn successor_with(disk: &SimDisk, id: u64, records: &[VersionEdit]) -> Vec<u8> {
    let name = current_manifest(&disk.env()).unwrap().unwrap();
    let header = kv_wal::read_header(&*disk.fs(), &name, FileKind::Manifest).unwrap();
    let header = FileHeader { file_id: id, file_uid: [9; 16], ..header };
    let forgery = SimDisk::new(4);
    let mut log = LogWriter::create(&*forgery.fs(), "forgery", header, 64 << 10).unwrap();
    for edit in records {
        log.append(&edit.encode(header.seed(), log.end().0).unwrap()).unwrap();
        log.sync().unwrap();
    }
    forgery.read_file("forgery").unwrap()
}

/// Bytes of other files: none of them zero.
fn with_stale_bytes(mut bytes: Vec<u8>, from: usize) -> Vec<u8> {
    for (index, byte) in bytes.iter_mut().enumerate().skip(from) {
        *byte = (index * 31 + index / 256 * 7) as u8 | 1;
    }
    bytes
}

#[test]
fn stale_bytes_in_an_unfinished_manifest_do_not_keep_a_database_from_opening() {
    for (records, from) in [
        (0, HEADER_BYTES),
        (0, HEADER_BYTES + SECTOR_BYTES),
        (1, HEADER_BYTES),
        (1, HEADER_BYTES + 64),
    ] {
        let (disk, manifests) = generations(5);
        let bytes = with_stale_bytes(successor(&disk, 4, records), from);
        let what = format!("{records} records, stale from {from} on");
        assert_gives_way(&disk, &bytes, &manifests[2].0, &what);
    }
}

/// Of a snapshot in several records the first was written.
#[test]
fn stale_bytes_behind_a_part_of_a_snapshot_do_not_keep_a_database_from_opening() {
    let (disk, manifests) = generations(5);
    let mut first = edits_of(&disk).remove(0);
    first.properties.insert("!records_left".into(), b"1".into());
    let bytes = successor_with(&disk, 4, &[first]);
    let written = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    for from in [written, written + 10, written + SECTOR_BYTES] {
        let what = format!("stale from {from} on");
        let bytes = with_stale_bytes(bytes.clone(), from);
        assert_gives_way(&disk.crash(CrashChoice::All), &bytes, &manifests[2].0, &what);
    }
}

/// A fourth manifest of these bytes counts for nothing.
fn assert_gives_way(disk: &SimDisk, bytes: &[u8], expected: &String, what: &str) {
    disk.write_file("MANIFEST_000004", bytes);
    assert_eq!(current_manifest(&disk.env()).unwrap().as_ref(), Some(expected), "{what}");
    let report = verify_directory(&disk.env(), true).unwrap();
    assert_eq!((report.problems, report.unused), (vec![], vec!["MANIFEST_000004".into()]));
    let engine = open(disk, tiny());
    assert_eq!(engine.recovery_report().manifest, *expected, "{what}");
    assert_eq!(contents(&engine).len(), 3, "{what}");
    engine.close().unwrap();
    assert_eq!(contents(&open(disk, tiny())).len(), 3, "{what}");
}

/// The first manifest of all has no predecessor, and a database without a segment
/// nothing to lose.
#[test]
fn a_first_creation_that_was_cut_short_is_begun_anew() {
    let (disk, _) = generations(5);
    let bytes = with_stale_bytes(successor(&disk, 1, 0), HEADER_BYTES);
    let alone = SimDisk::new(6);
    alone.write_file("MANIFEST_000001", &bytes);
    assert!(open(&alone, tiny()).recovery_report().created);
    let used = SimDisk::new(6);
    let mut bytes = successor(&disk, 1, 2);
    bytes[HEADER_BYTES + 30] ^= 1;
    used.write_file("MANIFEST_000001", &bytes);
    assert!(Engine::open_in(used.env(), tiny()).is_err(), "it has taken an edit");
}

/// It was finished, then: whoever has put the predecessor back, that one is not as
/// good. Nor is one that was not the last before it.
#[test]
fn a_damaged_snapshot_before_an_intact_edit_is_refused() {
    let (disk, _) = generations(5);
    let whole = successor(&disk, 4, 2);
    // Checksum, length and kind of its record, payload.
    for offset in [HEADER_BYTES + 16, HEADER_BYTES + 20, HEADER_BYTES + 30, HEADER_BYTES + 60] {
        let mut bytes = whole.clone();
        bytes[offset] ^= 1;
        disk.write_file("MANIFEST_000004", &bytes);
        let Err(error) = Engine::open_in(disk.env(), tiny()) else { panic!("{offset}: it opens") };
        let is_named = matches!(&error, Error::Corruption { file, offset, .. }
            if file == "MANIFEST_000004" && *offset >= HEADER_BYTES as u64);
        assert!(is_named, "{offset}: {error}");
    }
    disk.fs().remove("MANIFEST_000004").unwrap();
    let bytes = with_stale_bytes(successor(&disk, 9, 0), HEADER_BYTES);
    disk.write_file("MANIFEST_000009", &bytes);
    let Err(error) = Engine::open_in(disk.env(), tiny()) else { panic!("it opens") };
    assert!(matches!(&error, Error::Corruption { file, .. } if file == "MANIFEST_000009"));
}
