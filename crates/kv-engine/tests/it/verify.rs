//! The check of a directory whose manifest is damaged: it tells every damaged
//! part of the manifest and goes on to every other file.

use std::collections::BTreeSet;

use kv_engine::{
    Basis, Engine, ManifestState, Problem, VerifiedFile, VerifyReport, manifest_tables,
    read_manifest_edits, verify_directory,
};
use kv_env::SimDisk;

use crate::support::{open, settle, tiny};

/// Where the records of a log file begin.
const FIRST_RECORD: usize = 4096 + 16;

/// A database with every kind of file, and what must be in a report on it.
struct Specimen {
    disk: SimDisk,
    manifest: String,
    /// Tables of the tree and segments with records.
    data: BTreeSet<String>,
    tables: BTreeSet<String>,
}

impl Specimen {
    /// Tables of two levels, two sealed segments and an active one.
    fn new() -> Specimen {
        let disk = SimDisk::new(5);
        let mut options = tiny();
        options.table.block_bytes = 128;
        let engine = open(&disk, options);
        let put = |number: u64| {
            let key = format!("key{:02}", number * 7 % 31);
            let value = format!("value {number}, ").repeat(3);
            engine.put(key.as_bytes(), value.as_bytes()).unwrap();
        };
        (1..=30).for_each(put);
        engine.compact().unwrap();
        settle(&engine);
        (31..=42).for_each(put);
        engine.flush().unwrap();
        for number in 43..=64 {
            put(number);
            if number % 8 == 0 {
                engine.run_background_step().unwrap();
            }
        }
        // Not a close: no end marks.
        let disk = disk.kill(disk.op_count());
        disk.forget_history();
        Specimen::of(disk)
    }

    fn of(disk: SimDisk) -> Specimen {
        let sound = check(&disk);
        assert_eq!((&sound.problems[..], sound.manifest_state), (&[][..], ManifestState::Whole));
        let tables = manifest_tables(&disk.env()).unwrap();
        let tables = tables.into_iter().map(|(_, meta)| meta.file_name()).collect();
        let with_records = sound.files.iter().filter(|file| file.items > 0);
        let data = with_records.map(|file| file.name.clone()).collect();
        Specimen { disk, manifest: sound.manifest, data, tables }
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.disk.read_file(name).unwrap()
    }

    /// The same files, `name` with other bytes or, without any, not at all.
    fn with(&self, name: &str, bytes: Option<&[u8]>) -> SimDisk {
        let copy = SimDisk::new(6);
        for file in self.disk.fs().list().unwrap().iter().filter(|file| file.name != "LOCK") {
            match bytes {
                Some(bytes) if file.name == name => copy.write_file(name, bytes),
                None if file.name == name => {}
                _ => copy.write_file(&file.name, &self.bytes(&file.name)),
            }
        }
        copy
    }

    /// Every file but the manifest is there and sound, whatever it is judged by.
    fn assert_rest_is_sound(&self, report: &VerifyReport, what: &str) {
        let sound: BTreeSet<String> = report.files.iter().map(|file| file.name.clone()).collect();
        let missed: Vec<&String> = self.data.difference(&sound).collect();
        assert!(missed.is_empty(), "{what}: {missed:?} are not in {report:?}");
    }
}

fn check(disk: &SimDisk) -> VerifyReport {
    // So that the check has nothing to create.
    drop(disk.fs().lock("LOCK").unwrap());
    let before = disk.fingerprint();
    let report = verify_directory(&disk.env(), true).expect("damage is no error");
    assert_eq!(disk.fingerprint(), before, "the check changed something");
    report
}

fn covers(problem: &Problem, name: &str, offset: usize) -> bool {
    let start = problem.offset.unwrap_or(0);
    let range = start..=start + problem.bytes.unwrap_or(u64::MAX - start);
    problem.file == name && range.contains(&(offset as u64))
}

fn tells(report: &VerifyReport, name: &str, offset: usize) -> bool {
    report.problems.iter().any(|problem| covers(problem, name, offset))
}

#[test]
fn a_manifest_flipped_anywhere_is_told_and_all_other_files_are_checked() {
    let specimen = Specimen::new();
    let name = &specimen.manifest;
    let bytes = specimen.bytes(name);
    let used = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    let mut refused = 0;
    for offset in (0..100).chain((FIRST_RECORD - 16..=used).step_by(7)) {
        let disk = specimen.with(name, Some(&bytes));
        disk.corrupt(name, offset as u64, 1 << (offset % 8));
        let (what, report) = (format!("byte {offset}"), check(&disk));
        specimen.assert_rest_is_sound(&report, &what);
        let opened = Engine::open_in(disk.env(), tiny());
        assert_eq!(opened.is_err(), !report.problems.is_empty(), "{what}: {report:?}");
        if opened.is_err() {
            refused += 1;
            assert!(tells(&report, name, offset), "{what}: {report:?}");
            // With an edit the knowledge is lost that it removed a table.
            let is_expected = |problem: &Problem| {
                problem.file == *name || problem.what.contains("is missing, unless an edit")
            };
            assert!(report.problems.iter().all(is_expected), "{what}: {report:?}");
            assert_eq!(report.manifest_state, ManifestState::Partial, "{what}: one edit is lost");
        }
    }
    assert!(refused > 80, "{refused}");
}

/// A lost edit leaves its neighbours: what they name is judged by them.
#[test]
fn each_damaged_edit_is_told_and_the_intact_ones_still_count() {
    let specimen = Specimen::new();
    let name = &specimen.manifest;
    let edits = read_manifest_edits(&*specimen.disk.fs(), name).unwrap();
    assert!(edits.len() > 6, "{}", edits.len());
    let bytes = specimen.bytes(name);
    let places = record_places(&bytes, edits.len());
    // The first, one in the middle, and the last.
    let hurt = [places[0], places[places.len() / 2], *places.last().unwrap()];
    let disk = specimen.with(name, Some(&bytes));
    hurt.iter().for_each(|&offset| disk.corrupt(name, offset as u64 + 30, 0x20));
    let report = check(&disk);
    assert_eq!(report.problems.len(), hurt.len(), "{report:?}");
    for offset in hurt {
        // What begins a frame is damaged from its stamp on.
        let start = if offset == FIRST_RECORD { 4096 } else { offset as u64 };
        let problem = report.problems.iter().find(|problem| problem.offset == Some(start));
        assert!(problem.is_some_and(|problem| covers(problem, name, offset + 30)), "{report:?}");
    }
    assert_eq!((&report.manifest, report.manifest_state), (name, ManifestState::Partial));
    specimen.assert_rest_is_sound(&report, "three edits");
    let by_manifest = |file: &&VerifiedFile| file.judged_by == Basis::Manifest;
    assert!(report.files.iter().filter(by_manifest).count() > 0, "{report:?}");
    assert!(report.files.iter().any(|file| file.judged_by == Basis::FileAlone), "{report:?}");
}

/// Offsets of the records of a manifest whose records stay within one frame.
fn record_places(bytes: &[u8], count: usize) -> Vec<usize> {
    let mut at = FIRST_RECORD;
    let mut places = Vec::new();
    for _ in 0..count {
        places.push(at);
        at += 20 + u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
    }
    assert!(at < 8192, "one frame holds all edits");
    places
}

#[test]
fn a_manifest_cut_or_zeroed_anywhere_is_told_and_all_other_files_are_checked() {
    let specimen = Specimen::new();
    let name = &specimen.manifest;
    let bytes = specimen.bytes(name);
    let used = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    for len in (0..used).step_by(61) {
        for is_cut in [true, false] {
            let mut damaged = bytes.clone();
            match is_cut {
                true => damaged.truncate(len),
                false => damaged[len..].fill(0),
            }
            let disk = specimen.with(name, Some(&damaged));
            let what = format!("{} from {len}", if is_cut { "cut" } else { "zeros" });
            let report = check(&disk);
            // Zeros look like a torn edit: what it had brought in is then unused
            // or missed elsewhere, and never passes for sound in silence.
            let opened = Engine::open_in(disk.env(), tiny());
            assert_eq!(opened.is_err(), !report.problems.is_empty(), "{what}: {report:?}");
            if is_cut {
                assert!(opened.is_err(), "{what}");
                assert!(report.problems.iter().any(|problem| problem.file == *name), "{report:?}");
                specimen.assert_rest_is_sound(&report, &what);
            }
        }
    }
}

#[test]
fn without_any_manifest_each_file_is_judged_by_itself() {
    let specimen = Specimen::new();
    let disk = specimen.with(&specimen.manifest, None);
    let report = check(&disk);
    let [problem] = &report.problems[..] else { panic!("{report:?}") };
    assert!(problem.what.contains("there is no manifest"), "{problem:?}");
    assert_eq!((report.manifest.as_str(), report.manifest_state), ("", ManifestState::Lost));
    specimen.assert_rest_is_sound(&report, "missing");
    assert!(report.files.iter().all(|file| file.judged_by == Basis::FileAlone), "{report:?}");
}

/// Two manifests, as a crash in a recovery leaves them. Rot in the newer one is
/// told, and it still counts as far as it goes; without any edit of it the
/// older one does.
#[test]
fn of_several_manifests_the_newest_that_says_anything_counts() {
    let specimen = Specimen::new();
    let disk = specimen.with("", None);
    let from = disk.op_count();
    drop(open(&disk, tiny()));
    let manifests = |disk: &SimDisk| {
        let names = disk.fs().list().unwrap().into_iter().map(|file| file.name);
        let mut names: Vec<String> = names.filter(|name| name.starts_with("MANIFEST")).collect();
        names.sort();
        names
    };
    let mut images = (from..=disk.op_count()).flat_map(|op| disk.images(op));
    let (_, both) = images
        .find(|(_, image)| {
            manifests(image).len() == 2 && check(image).manifest != specimen.manifest
        })
        .expect("a moment at which both manifests are whole");
    both.forget_history();
    let names = manifests(&both);
    let both = Specimen::of(both);
    assert_eq!(check(&both.disk).unused, [names[0].as_str()]);
    // In the only record of the newest: no edit of it is left.
    let newest = both.bytes(&names[1]);
    let disk = both.with(&names[1], Some(&newest));
    disk.corrupt(&names[1], FIRST_RECORD as u64 + 30, 4);
    disk.corrupt(&names[0], FIRST_RECORD as u64 + 30, 4);
    let report = check(&disk);
    for name in &names {
        assert!(tells(&report, name, FIRST_RECORD + 30), "{name}: {report:?}");
    }
    assert_eq!((&report.manifest, report.manifest_state), (&names[0], ManifestState::Partial));
    both.assert_rest_is_sound(&report, "both damaged");
}

/// What is left of the newer manifest counts, and not a whole older one.
#[test]
fn a_damaged_manifest_counts_before_a_whole_older_one() {
    let specimen = Specimen::new();
    let disk = specimen.with("", None);
    drop(open(&disk, tiny()));
    let newest = kv_engine::current_manifest(&disk.env()).unwrap().unwrap();
    assert!(newest > specimen.manifest);
    disk.write_file(&specimen.manifest, &specimen.bytes(&specimen.manifest));
    let second = record_places(&disk.read_file(&newest).unwrap(), 2)[1];
    disk.corrupt(&newest, second as u64 + 30, 0x20);
    let report = check(&disk);
    assert!(tells(&report, &newest, second + 30), "{report:?}");
    assert_eq!((&report.manifest, report.manifest_state), (&newest, ManifestState::Partial));
}

#[test]
fn whatever_happens_to_the_manifest_damage_of_every_other_file_is_told() {
    let specimen = Specimen::new();
    let name = &specimen.manifest;
    let bytes = specimen.bytes(name);
    let mut garbage = bytes.clone();
    garbage[4096..].fill(0xa5);
    let mut flipped = bytes.clone();
    flipped[FIRST_RECORD + 30] ^= 1;
    for (what, manifest) in [
        ("whole", Some(&bytes[..])),
        ("flipped", Some(&flipped)),
        ("garbage", Some(&garbage)),
        ("empty", Some(&[])),
        ("missing", None),
    ] {
        let disk = specimen.with(name, manifest);
        for file in &specimen.data {
            let offset = if specimen.tables.contains(file) { 100 } else { FIRST_RECORD + 30 };
            disk.corrupt(file, offset as u64, 0x40);
        }
        let report = check(&disk);
        for file in &specimen.data {
            let offset = if specimen.tables.contains(file) { 100 } else { FIRST_RECORD + 30 };
            assert!(tells(&report, file, offset), "{what}: {file}: {report:?}");
        }
        let is_told = report.problems.iter().any(|problem| problem.file.starts_with("MANIFEST"));
        assert_eq!(is_told, what != "whole", "{what}: {report:?}");
        assert!(report.files.iter().all(|file| !specimen.data.contains(&file.name)), "{what}");
    }
}

/// Each segment is missing once, and then all headers are damaged: no segment
/// keeps the others from being checked.
#[test]
fn every_missing_and_every_unreadable_segment_is_told() {
    let specimen = Specimen::new();
    let segments: Vec<&String> = specimen.data.difference(&specimen.tables).collect();
    assert!(segments.len() >= 3, "{segments:?}");
    for &gone in &segments {
        let disk = specimen.with(gone, None);
        let report = check(&disk);
        assert_eq!(report.problems.len(), 1, "{gone}: {report:?}");
        assert!(report.problems[0].what.contains("missing"), "{gone}: {report:?}");
        assert_eq!(report.files.len(), check(&specimen.disk).files.len() - 1, "{report:?}");
    }
    let disk = specimen.with("", None);
    for &name in &segments {
        disk.corrupt(name, 50, 0xff);
        disk.corrupt(name, FIRST_RECORD as u64 + 30, 0x40);
    }
    let report = check(&disk);
    for &name in &segments {
        assert!(tells(&report, name, 50), "{name}: {report:?}");
    }
}

/// As an open does: the records are intact, and the device is not to be trusted.
#[test]
fn a_damaged_stamp_between_intact_records_is_told_and_no_problem() {
    let specimen = Specimen::new();
    for name in specimen.data.difference(&specimen.tables) {
        let disk = specimen.with(name, Some(&specimen.bytes(name)));
        disk.corrupt(name, 4096 + 3, 0x40);
        let report = check(&disk);
        assert_eq!(report.problems, [], "{name}: {report:?}");
        let stamps = |file: &VerifiedFile| (file.name == *name, file.damaged_stamps);
        assert!(report.files.iter().any(|file| stamps(file) == (true, 1)), "{name}: {report:?}");
        let others = report.files.iter().filter(|file| file.name != *name);
        assert!(others.map(|file| file.damaged_stamps).sum::<u64>() == 0, "{name}: {report:?}");
        let opened = open(&disk, tiny());
        let of_open = opened.recovery_report().segments.iter().map(|found| found.damaged_stamps);
        assert_eq!(of_open.sum::<u64>(), 1, "{name}");
    }
}
