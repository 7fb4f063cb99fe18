//! Trees with so many and so long keys that their manifest does not fit in one
//! record: the snapshot that it begins with is several, and counts as a whole or
//! not at all.

use kv_core::{FileHeader, FileKind};
use kv_engine::{
    Engine, Options, RepairOptions, VersionEdit, current_manifest, manifest_tables,
    read_manifest_edits, repair, verify_directory,
};
use kv_env::{CrashChoice, SimDisk};
use kv_wal::{LogReader, LogWriter, SegmentPosition};

use crate::support::{contents, open, tiny};

const NEXT: &str = "MANIFEST_000002";

/// As long as keys can be: a table with one is 131 kB of the manifest.
fn key(number: u64) -> Vec<u8> {
    let mut key = vec![b'k'; 65_535];
    key[..8].copy_from_slice(&number.to_be_bytes());
    key
}

fn options() -> Options {
    Options { reserve_bytes: Some(0), ..tiny() }
}

/// Writes tables of one key each.
fn write(engine: &Engine, numbers: std::ops::Range<u64>) {
    for number in numbers {
        engine.put(&key(number), b"x").unwrap();
        engine.flush().unwrap();
    }
}

fn keys(engine: &Engine) -> Vec<u64> {
    let first = |key: &[u8]| u64::from_be_bytes(key[..8].try_into().unwrap());
    contents(engine).iter().map(|(key, _)| first(key)).collect()
}

/// A database of 20 tables, 2.6 MB of manifest, that was killed.
fn killed() -> SimDisk {
    let disk = SimDisk::new(41);
    let engine = open(&disk, options());
    write(&engine, 0..20);
    drop(engine);
    disk.crash(CrashChoice::All)
}

/// How many records of a manifest are intact from its first one on, and how many
/// edits those are.
fn records_and_edits(disk: &SimDisk, name: &str) -> (usize, usize) {
    let position = SegmentPosition::Last;
    let Ok(mut log) = LogReader::open(&*disk.fs(), name, FileKind::Manifest, position) else {
        return (0, 0);
    };
    let mut records = 0;
    while let Ok(Some(_)) = log.next_record() {
        records += 1;
    }
    (records, read_manifest_edits(&*disk.fs(), name).map_or(0, |edits| edits.len()))
}

/// 68 MB of keys in one snapshot; a record holds 64 MiB at most.
#[test]
fn a_tree_of_many_long_keys_replaces_its_manifest_and_opens_again() {
    let disk = SimDisk::new(41);
    let engine = open(&disk, options());
    for start in (0..520).step_by(130) {
        write(&engine, start..start + 130);
        disk.forget_history();
    }
    // The first, then one each time the last has doubled, from 4 MiB on.
    let name = current_manifest(&disk.env()).unwrap().unwrap();
    assert!(("MANIFEST_000004".."MANIFEST_000010").contains(&&*name), "{name}");
    let bytes = |number: u64| 2 * 65_535 * number;
    assert!(bytes(520) > 64 << 20);
    engine.close().unwrap();
    let engine = open(&disk, options());
    assert_eq!(engine.stats().tables, 520);
    assert!(keys(&engine) == (0..520).collect::<Vec<u64>>());
    let name = current_manifest(&disk.env()).unwrap().unwrap();
    let (records, edits) = records_and_edits(&disk, &name);
    assert!(records > 64 && edits == 2, "{records} records of {edits} edits");
    write(&engine, 520..521);
    assert_eq!(engine.stats().tables, 521);
}

/// The images of what `act` does to `disk`, each opened and compared. Every file of
/// a manifest that is found in part counts for nothing.
fn cut_everywhere(disk: &SimDisk, expected: &[u64], act: impl FnOnce()) {
    let before = disk.op_count();
    act();
    let creates = |op: &String| op.contains("create ") && op.contains(NEXT);
    let created = disk.history().iter().position(creates).expect("it was created");
    let begin = before + created as u64;
    let (mut old, mut new, mut partial) = (0, 0, 0);
    for op in begin..=disk.op_count() {
        // A part of the images of each op, another one from op to op.
        for (choice, image) in disk.images(op).skip(op as usize % 11).step_by(11) {
            let what = format!("after op {op}, {choice:?}");
            let found = current_manifest(&image.env()).unwrap().unwrap();
            *(if found == NEXT { &mut new } else { &mut old }) += 1;
            let (records, edits) = records_and_edits(&image, NEXT);
            if records > 0 && edits == 0 {
                partial += 1;
                assert_ne!(found, NEXT, "{what}");
            }
            let engine = open(&image, options());
            assert!(keys(&engine).starts_with(expected), "{what}");
        }
    }
    assert!(old > 0 && new > 0 && partial > 0, "{old} old, {new} new, {partial} in part");
}

#[test]
fn a_power_cut_anywhere_in_an_open_finds_a_whole_snapshot() {
    let disk = killed();
    disk.forget_history();
    cut_everywhere(&disk, &(0..20).collect::<Vec<u64>>(), || drop(open(&disk, options())));
}

#[test]
fn a_power_cut_anywhere_in_a_rotation_finds_a_whole_snapshot() {
    let disk = SimDisk::new(41);
    let engine = open(&disk, Options { manifest_edit_bytes: 2_700_000, ..options() });
    write(&engine, 0..20);
    disk.forget_history();
    cut_everywhere(&disk, &(0..20).collect::<Vec<u64>>(), || write(&engine, 20..21));
}

/// Manifest `name` with the records of `edits`, but for the last `missing` ones.
fn forge(disk: &SimDisk, name: &str, id: u64, edits: &[VersionEdit], missing: usize) -> Vec<u8> {
    let found = current_manifest(&disk.env()).unwrap().unwrap();
    let found = kv_wal::read_header(&*disk.fs(), &found, FileKind::Manifest).unwrap();
    let header = FileHeader { file_id: id, file_uid: [9; 16], ..found };
    let forgery = SimDisk::new(4);
    let mut log = LogWriter::create(&*forgery.fs(), name, header, 64 << 10).unwrap();
    let records: Vec<_> = edits.iter().flat_map(VersionEdit::records).collect();
    for record in &records[..records.len() - missing] {
        let lsn = log.end().0;
        log.append(&record.encode(header.seed(), lsn).unwrap()).unwrap();
    }
    log.sync().unwrap();
    forgery.read_file(name).unwrap()
}

/// It moves all tables one level down, in the text of several records.
#[test]
fn a_long_edit_happens_as_a_whole_or_not_at_all() {
    let disk = killed();
    let name = current_manifest(&disk.env()).unwrap().unwrap();
    let mut edits = read_manifest_edits(&*disk.fs(), &name).unwrap();
    let tables = manifest_tables(&disk.env()).unwrap();
    let removed = tables.iter().map(|(level, meta)| (*level, meta.id)).collect();
    let added = tables.into_iter().map(|(level, meta)| (level + 1, meta)).collect();
    edits.push(VersionEdit { added, removed, ..VersionEdit::default() });
    let count = edits.last().unwrap().records().count();
    assert!(count > 2);
    for missing in 0..=count {
        disk.write_file(&name, &forge(&disk, &name, 1, &edits, missing));
        let tables = manifest_tables(&disk.env()).unwrap();
        let level = u32::from(missing == 0);
        assert!(tables.len() == 20 && tables.iter().all(|&(of, _)| of == level), "{missing}");
        let engine = open(&disk.crash(CrashChoice::All), options());
        assert!(keys(&engine) == (0..20).collect::<Vec<u64>>(), "{missing}");
        // The check and the repair of one that is damaged besides go by the same rule.
        let damaged = disk.crash(CrashChoice::All);
        damaged.corrupt(&name, 4130, 1);
        let target = SimDisk::new(5);
        repair(&damaged.env(), &target.env(), &RepairOptions::default()).unwrap();
        let engine = open(&target, options());
        assert!(keys(&engine) == (0..20).collect::<Vec<u64>>(), "repaired, {missing}");
    }
}

/// Also if other records of it are intact behind the lost one, and also for the
/// check and the repair if the predecessor is damaged.
#[test]
fn a_manifest_with_a_part_of_its_snapshot_gives_way() {
    let disk = killed();
    let open_copy = disk.crash(CrashChoice::All);
    drop(open(&open_copy, options()));
    let snapshot = read_manifest_edits(&*open_copy.fs(), NEXT).unwrap().remove(0);
    let count = snapshot.records().count();
    assert!(count > 2);
    let whole = forge(&disk, NEXT, 2, std::slice::from_ref(&snapshot), 0);
    let mut rotten = whole.clone();
    rotten[1_500_000] ^= 1;
    let mut forgeries = vec![("rot in the second record".to_owned(), rotten)];
    for missing in 1..=count {
        let cut = forge(&disk, NEXT, 2, std::slice::from_ref(&snapshot), missing);
        forgeries.push((format!("without {missing}"), cut));
    }
    for (what, bytes) in &forgeries {
        let image = disk.crash(CrashChoice::All);
        image.write_file(NEXT, bytes);
        assert_eq!(current_manifest(&image.env()).unwrap().unwrap(), "MANIFEST_000001", "{what}");
        assert!(keys(&open(&image, options())) == (0..20).collect::<Vec<u64>>(), "{what}");
    }
    for (what, bytes) in &forgeries {
        let image = disk.crash(CrashChoice::All);
        image.write_file(NEXT, bytes);
        // In an edit: no part of the predecessor's snapshot.
        image.corrupt("MANIFEST_000001", 1_000_000, 1);
        let report = verify_directory(&image.env(), true).unwrap();
        assert_eq!(report.manifest, "MANIFEST_000001", "{what}");
    }
    disk.write_file(NEXT, &whole);
    assert_eq!(current_manifest(&disk.env()).unwrap().unwrap(), NEXT);
}
