//! A manifest whose checksums are right and whose edits cannot be meant.

use std::collections::BTreeSet;

use kv_engine::{
    Engine, Error, RepairOptions, SeqNo, VersionEdit, manifest_tables, repair, verify_directory,
};
use kv_env::{CrashChoice, SimDisk};
use kv_wal::LogWriter;

use crate::support::{contents, open, tiny};

/// A database whose manifest says its first edit, changed by `change`, and then
/// `more`. Also the manifest's name.
fn forge(change: fn(&mut VersionEdit), more: Vec<VersionEdit>) -> (SimDisk, String) {
    let disk = killed();
    let name = rewrite(&disk, |edits| {
        let mut first = edits[0].clone();
        first.segment_uids.extend(edits.iter().flat_map(|edit| &edit.segment_uids));
        change(&mut first);
        std::iter::once(first).chain(more).collect()
    });
    (disk, name)
}

/// A database of a process that was killed.
fn killed() -> SimDisk {
    let disk = SimDisk::new(3);
    drop(open(&disk, tiny()));
    disk.crash(CrashChoice::All)
}

/// Has the manifest say other edits, without an end; its name.
fn rewrite(disk: &SimDisk, change: impl FnOnce(Vec<VersionEdit>) -> Vec<VersionEdit>) -> String {
    rewrite_with(disk, change, LogWriter::sync)
}

/// The same with the end that `end` gives it.
fn rewrite_with(
    disk: &SimDisk,
    change: impl FnOnce(Vec<VersionEdit>) -> Vec<VersionEdit>,
    end: fn(&mut LogWriter) -> kv_core::Result<()>,
) -> String {
    let name = kv_engine::current_manifest(&disk.env()).unwrap().unwrap();
    let header = kv_wal::read_header(&*disk.fs(), &name, kv_core::FileKind::Manifest).unwrap();
    let edits = kv_engine::read_manifest_edits(&*disk.fs(), &name).unwrap();
    let forgery = SimDisk::new(4);
    let mut log = LogWriter::create(&*forgery.fs(), &name, header, 64 << 10).unwrap();
    for edit in change(edits) {
        let lsn = log.end().0;
        log.append(&edit.encode(header.seed(), lsn).unwrap()).unwrap();
    }
    end(&mut log).unwrap();
    disk.write_file(&name, &forgery.read_file(&name).unwrap());
    name
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

/// The records of a long edit are followed by those that they say, or by nothing where
/// a crash came in between; but not by others, and not by the end of the file.
#[test]
fn records_that_do_not_belong_together_are_damage_of_the_manifest() {
    let begun = |left: &str| VersionEdit {
        properties: [("!records_left".to_owned(), left.into())].into(),
        ..VersionEdit::default()
    };
    let plain = VersionEdit { next_file_id: Some(900), ..VersionEdit::default() };
    let cases = [
        (vec![begun("2"), VersionEdit::default()], "do not belong together"),
        (vec![begun("1"), plain], "do not belong together"),
        (vec![begun("1")], "in the middle of an edit"),
        (vec![begun("none")], "how many of its records follow"),
    ];
    for (more, expected) in cases {
        let disk = killed();
        let say = |edits: Vec<VersionEdit>| edits.into_iter().chain(more).collect();
        let name = rewrite_with(&disk, say, LogWriter::finish);
        let Err(error) = Engine::open_in(disk.env(), tiny()) else {
            panic!("{expected}: it opens")
        };
        let Error::Corruption { file, what, .. } = &error else { panic!("{error}") };
        assert!(*file == name && what.contains(expected), "{error}");
        let report = verify_directory(&disk.env(), true).unwrap();
        assert!(report.problems.iter().any(|problem| problem.file == name), "{report:?}");
    }
    let disk = killed();
    rewrite(&disk, |edits| edits.into_iter().chain([begun("1")]).collect());
    drop(open(&disk, tiny()));
}

/// Neither the open nor the check nor the repair counts them all.
#[test]
fn endless_segments_are_missed_in_bounds() {
    let (disk, _) = forge(|first| first.newest_segment = Some(1 << 50), vec![]);
    let Err(error) = Engine::open_in(disk.env(), tiny()) else { panic!("it opens") };
    assert!(error.to_string().contains("is missing"), "{error}");
    let report = verify_directory(&disk.env(), true).unwrap();
    assert!((50..=200).contains(&report.problems.len()), "{}", report.problems.len());
    let target = SimDisk::new(5);
    let report = repair(&disk.env(), &target.env(), &RepairOptions::default()).unwrap();
    assert!(!report.is_complete() && report.files.len() <= 200, "{}", report.files.len());
}

/// From which the next one cannot be counted: open, check and repair all come to
/// their end.
#[test]
fn numbers_at_the_end_of_their_range_are_damage_of_the_manifest() {
    let changes: [fn(&mut VersionEdit); 8] = [
        |first| first.next_file_id = Some(u64::MAX),
        |first| first.flushed_through = Some(SeqNo(u64::MAX)),
        |first| first.flushed_through = Some(SeqNo::MAX),
        |first| first.newest_segment = Some(u64::MAX - 1),
        |first| (first.oldest_segment, first.newest_segment) = (Some(u64::MAX), Some(u64::MAX - 1)),
        |first| first.oldest_segment = Some(u64::MAX),
        |first| first.segment_uids.push((u64::MAX, [1; 16])),
        |first| first.segment_ends.push((u64::MAX, 4096)),
    ];
    for change in changes {
        let (disk, name) = forge(change, vec![]);
        let Err(error) = Engine::open_in(disk.env(), tiny()) else { panic!("it opens") };
        let Error::Corruption { file, what, .. } = &error else { panic!("{error}") };
        assert!(*file == name && what.contains("number"), "{error}");
        let report = verify_directory(&disk.env(), true).unwrap();
        assert!(report.problems.iter().any(|problem| problem.file == name), "{report:?}");
        let target = SimDisk::new(5);
        let report = repair(&disk.env(), &target.env(), &RepairOptions::default()).unwrap();
        assert!(!report.is_complete(), "{report}");
    }
}

/// An engine of before has taken back what was reserved: the numbers of tables that
/// are there are given to no other ones.
#[test]
fn a_reserve_behind_the_tables_gives_no_number_twice() {
    let disk = SimDisk::new(3);
    let engine = open(&disk, tiny());
    for key in [b"a", b"b"] {
        engine.put(key, b"value").unwrap();
        engine.flush().unwrap();
    }
    drop(engine);
    let disk = disk.crash(CrashChoice::All);
    rewrite(&disk, |mut edits| {
        edits.iter_mut().for_each(|edit| edit.next_file_id = None);
        edits[0].next_file_id = Some(1);
        edits
    });
    let engine = open(&disk, tiny());
    engine.put(b"c", b"value").unwrap();
    engine.flush().unwrap();
    let tables = manifest_tables(&disk.env()).unwrap();
    let ids: BTreeSet<u64> = tables.iter().map(|(_, meta)| meta.id).collect();
    assert_eq!(ids.len(), 3, "{tables:?}");
    assert_eq!(contents(&engine).len(), 3);
}

/// Nobody comes to such a number: somebody has put the file there.
#[test]
fn a_manifest_with_the_last_number_is_not_ours() {
    let disk = SimDisk::new(3);
    open(&disk, tiny()).close().unwrap();
    let name = format!("MANIFEST_{}", u64::MAX);
    disk.write_file(&name, b"");
    let engine = open(&disk, tiny());
    assert_eq!(engine.recovery_report().foreign, std::slice::from_ref(&name));
    engine.put(b"key", b"value").unwrap();
    engine.close().unwrap();
    assert!(disk.read_file(&name).is_some(), "it is left alone");
}
