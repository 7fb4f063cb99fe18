//! A manifest whose checksums are right and whose edits cannot be meant.

use kv_engine::{Engine, Error, RepairOptions, VersionEdit, repair, verify_directory};
use kv_env::{CrashChoice, SimDisk};
use kv_wal::LogWriter;

use crate::support::{open, tiny};

/// A database whose manifest says its first edit, changed by `change`, and then
/// `more`. Also the manifest's name.
fn forge(change: fn(&mut VersionEdit), more: Vec<VersionEdit>) -> (SimDisk, String) {
    let disk = SimDisk::new(3);
    drop(open(&disk, tiny()));
    let disk = disk.crash(CrashChoice::All);
    let name = kv_engine::current_manifest(&disk.env()).unwrap().unwrap();
    let header = kv_wal::read_header(&*disk.fs(), &name, kv_core::FileKind::Manifest).unwrap();
    let edits = kv_engine::read_manifest_edits(&*disk.fs(), &name).unwrap();
    let mut first = edits[0].clone();
    first.segment_uids.extend(edits.iter().flat_map(|edit| &edit.segment_uids));
    change(&mut first);

    let forgery = SimDisk::new(4);
    let mut log = LogWriter::create(&*forgery.fs(), &name, header, 64 << 10).unwrap();
    for edit in std::iter::once(first).chain(more) {
        let lsn = log.end().0;
        log.append(&edit.encode(header.seed(), lsn).unwrap()).unwrap();
    }
    log.sync().unwrap();
    disk.write_file(&name, &forgery.read_file(&name).unwrap());
    (disk, name)
}

/// Is damage of that file, named with the place, and not an error of whoever
/// opened the database.
#[test]
fn an_impossible_edit_is_damage_of_the_manifest() {
    let impossible = VersionEdit { removed: vec![(0, 77)], ..VersionEdit::default() };
    let (disk, name) = forge(|_| {}, vec![impossible]);
    let Err(error) = Engine::open_in(disk.env(), tiny()) else { panic!("it opens") };
    let Error::Corruption { file, offset, what } = &error else { panic!("{error}") };
    assert_eq!(*file, name);
    assert!(*offset > 4096 && what.contains("table 77 is not in level 0"), "{error}");
    let report = verify_directory(&disk.env(), true).unwrap();
    let problem = &report.problems[0];
    assert_eq!((&problem.file, problem.offset), (&name, Some(*offset)), "{report:?}");
}

/// Neither the open nor the check nor the repair counts them all.
#[test]
fn endless_segments_are_missed_in_bounds() {
    let (disk, _) = forge(|first| first.newest_segment = Some(u64::MAX), vec![]);
    let Err(error) = Engine::open_in(disk.env(), tiny()) else { panic!("it opens") };
    assert!(error.to_string().contains("is missing"), "{error}");
    let report = verify_directory(&disk.env(), true).unwrap();
    assert!((50..=200).contains(&report.problems.len()), "{}", report.problems.len());
    let target = SimDisk::new(5);
    let report = repair(&disk.env(), &target.env(), &RepairOptions::default()).unwrap();
    assert!(!report.is_complete() && report.files.len() <= 200, "{}", report.files.len());
}
