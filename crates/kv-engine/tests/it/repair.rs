//! Repair, enumerated: every file of a small database is lost, cut, hit by
//! flipped bits and exchanged blocks. Whatever happens, a repair ends with a
//! database that passes every check and holds nothing that was not written;
//! every key that is not what it was is accounted for in the report; and the
//! same damage gives the same result.

use std::collections::BTreeMap;

use kv_engine::{
    Error, FileUse, Keep, LostWrites, ManifestState, RepairOptions, RepairReport, RepairedKind,
    WriteBatch, manifest_tables, repair, verify_directory,
};
use kv_env::{Failure, Fault, Operation, SimDisk};

use crate::support::{contents, open, tiny};

/// What was written to a key, with the number of each write.
type Versions = Vec<(u64, Option<Vec<u8>>)>;
type Contents = Vec<(Vec<u8>, Vec<u8>)>;

/// A database to be damaged, and all that was ever written to it.
struct Patient {
    disk: SimDisk,
    /// Every version of every key in the order of writing, with its number.
    history: BTreeMap<Vec<u8>, Versions>,
    files: Vec<String>,
}

/// What a repair left.
#[derive(Debug, PartialEq)]
struct Repaired {
    report: RepairReport,
    contents: Contents,
}

impl Patient {
    /// Tables of two levels, deletes over older values, two sealed segments
    /// and an active one.
    fn new() -> Patient {
        let disk = SimDisk::new(5);
        let mut options = tiny();
        options.table.block_bytes = 128;
        let engine = open(&disk, options);
        let mut history: BTreeMap<Vec<u8>, Versions> = BTreeMap::new();
        let mut write = |number: u64, key: u64, value: Option<Vec<u8>>| {
            let key = format!("key{key:02}").into_bytes();
            let mut batch = WriteBatch::new();
            match &value {
                Some(value) => batch.put(&key, value).unwrap(),
                None => batch.delete(&key).unwrap(),
            }
            let seqno = engine.write(batch, kv_engine::Durability::Sync).unwrap();
            assert_eq!(seqno.0, number);
            history.entry(key).or_default().push((number, value));
        };
        let value = |number: u64| Some(format!("value {number}, ").repeat(3).into_bytes());
        for number in 1..=30 {
            // Out of order, so that compactions have something to merge.
            write(number, number * 7 % 31, value(number));
        }
        engine.compact().unwrap();
        for number in 31..=42 {
            write(number, number - 30, if number % 3 == 0 { None } else { value(number) });
        }
        engine.flush().unwrap();
        for number in 43..=64 {
            write(number, number - 38, if number % 5 == 0 { None } else { value(number) });
            if number % 8 == 0 {
                // Prepares segments, flushes nothing that is not full.
                engine.run_background_step().unwrap();
            }
        }
        // Not a close: no end marks.
        let disk = disk.kill(disk.op_count());
        disk.forget_history();
        let files = disk.fs().list().unwrap();
        let files = files.into_iter().map(|entry| entry.name).filter(|name| name != "LOCK");
        Patient { files: files.collect(), disk, history }
    }

    fn copy(&self) -> SimDisk {
        let copy = SimDisk::new(6);
        for name in &self.files {
            copy.write_file(name, &self.disk.read_file(name).unwrap());
        }
        copy
    }

    fn whole(&self) -> Contents {
        let last = |versions: &Versions| versions.last().unwrap().1.clone();
        self.history.iter().filter_map(|(key, all)| Some((key.clone(), last(all)?))).collect()
    }

    fn of_kind(&self, start: &str) -> Vec<&String> {
        self.files.iter().filter(|name| name.starts_with(start)).collect()
    }

    /// The tables of the tree; others are leftovers of compactions.
    fn tables(&self) -> Vec<String> {
        let tables = manifest_tables(&self.disk.env()).unwrap();
        tables.into_iter().map(|(_, meta)| meta.file_name()).collect()
    }

    /// Repairs `disk` and checks what must hold after any damage.
    fn treat(&self, disk: &SimDisk, keep: Keep, what: &str) -> Repaired {
        let before: Vec<_> = self.files.iter().map(|name| disk.read_file(name)).collect();
        let repaired = attempt(disk, keep);
        let after: Vec<_> = self.files.iter().map(|name| disk.read_file(name)).collect();
        assert!(before == after, "{what}: the source has changed");
        assert_eq!(repaired, attempt(disk, keep), "{what}: the same again");
        let Repaired { report, contents } = &repaired;
        let kept: BTreeMap<_, _> = contents.iter().cloned().collect();
        for (key, value) in &kept {
            let versions = self.history.get(key).map(Vec::as_slice).unwrap_or_default();
            let is_true = versions.iter().any(|(_, written)| written.as_ref() == Some(value));
            assert!(is_true, "{what}: {key:?} was never {value:?}\n{report}");
        }
        let torn: u64 = report.files.iter().map(|file| file.torn_bytes).sum();
        for (key, versions) in &self.history {
            let (seqno, newest) = versions.last().unwrap();
            let is_there = kept.get(key) == newest.as_ref();
            // What the active segment holds may pass for torn as a whole.
            let is_last = *seqno > 58;
            assert!(
                is_there || is_accounted_for(report, key, *seqno) || (is_last && torn > 0),
                "{what}: {key:?} (write {seqno}) is not accounted for\n{report}"
            );
            assert!(
                is_there || !report.is_complete() || (is_last && torn > 0),
                "{what}: {key:?} is lost, and the report says that nothing is\n{report}"
            );
        }
        repaired
    }
}

fn attempt(disk: &SimDisk, keep: Keep) -> Repaired {
    let target = SimDisk::new(7);
    let mut options = RepairOptions { keep, ..RepairOptions::default() };
    options.table.block_bytes = 128;
    let report = repair(&disk.env(), &target.env(), &options).expect("a repair succeeds");
    let verified = verify_directory(&target.env(), true).unwrap();
    assert_eq!(verified.problems, []);
    for range in report.files.iter().flat_map(|file| &file.damage) {
        if let Some(kept_as) = &range.kept_as {
            assert!(target.read_file(kept_as).is_some(), "{kept_as} is there");
        }
    }
    let engine = open(&target, tiny());
    assert!(engine.recovery_report().clean_shutdown);
    let contents = contents(&engine);
    assert_eq!(contents.len() as u64, report.keys);
    engine.put(b"after", b"the repair").unwrap();
    engine.close().unwrap();
    Repaired { report, contents }
}

/// True if the report names a damaged range, a lost write or a doubt that
/// explains why the newest version of `key` is not there.
fn is_accounted_for(report: &RepairReport, key: &[u8], seqno: u64) -> bool {
    let key = String::from_utf8(key.to_vec()).unwrap();
    let is_in_range = report.files.iter().flat_map(|file| &file.damage).any(|range| {
        range.loses_data
            && range.from_key.as_ref().is_none_or(|from| *from <= key)
            && range.to_key.as_ref().is_none_or(|to| key <= *to)
    });
    let is_lost_write = report
        .lost_writes
        .iter()
        .any(|lost| lost.first <= seqno && lost.last.is_none_or(|last| seqno <= last));
    is_in_range || is_lost_write || report.writes_behind_gap > 0
}

#[test]
fn a_sound_database_is_copied_whole() {
    let patient = Patient::new();
    for prefix in ["MANIFEST_", "sst_", "compacted_", "wal"] {
        assert!(!patient.of_kind(prefix).is_empty(), "{prefix}: {:?}", patient.files);
    }
    for keep in [Keep::Proven, Keep::Prefix] {
        let Repaired { report, contents } = patient.treat(&patient.copy(), keep, "sound");
        assert!(report.is_complete() && report.is_prefix, "{report}");
        assert_eq!(report.manifest, ManifestState::Whole);
        assert_eq!((report.last_seqno, contents), (64, patient.whole()));
        assert!(report.summary().ends_with("; nothing was lost"), "{report}");
    }
}

#[test]
fn a_missing_file_is_named_and_all_others_are_kept() {
    let patient = Patient::new();
    for name in &patient.files {
        let disk = patient.copy();
        disk.fs().remove(name).unwrap();
        let Repaired { report, contents } = patient.treat(&disk, Keep::Proven, name);
        assert!(!contents.is_empty(), "{name}");
        if name.starts_with("MANIFEST") {
            assert_eq!((report.manifest, contents), (ManifestState::Lost, patient.whole()));
        } else if patient.tables().contains(name) || name.starts_with("wal") {
            assert!(!report.is_complete(), "{name}: {report}");
            let missing = report.files.iter().filter(|file| file.used == FileUse::Missing);
            assert_eq!(missing.count(), 1, "{name}: {report}");
        } else {
            assert!(report.is_complete(), "{name} was not needed: {report}");
        }
    }
}

#[test]
fn a_cut_file_keeps_what_stands_before_the_cut() {
    let patient = Patient::new();
    for name in &patient.files {
        let bytes = patient.disk.read_file(name).unwrap();
        for len in (0..bytes.len().min(20 << 10)).step_by(512) {
            let disk = patient.copy();
            disk.write_file(name, &bytes[..len]);
            patient.treat(&disk, Keep::Proven, &format!("{name} cut to {len}"));
        }
    }
}

#[test]
fn flipped_bits_cost_no_more_than_what_they_hit() {
    let patient = Patient::new();
    let whole = patient.whole();
    let mut losses = 0;
    for name in &patient.files {
        let bytes = patient.disk.read_file(name).unwrap();
        let used = bytes.iter().rposition(|&byte| byte != 0).unwrap_or(0) + 64;
        for bit in (0..8 * used.min(bytes.len())).step_by(97) {
            // The rest of a log's header is zero and not looked at.
            let is_logs = name.starts_with("wal") || name.starts_with("MANIFEST");
            if is_logs && (96..4096).contains(&(bit / 8)) && bit % (97 * 8) != 0 {
                continue;
            }
            let disk = patient.copy();
            disk.corrupt(name, (bit / 8) as u64, 1 << (bit % 8));
            let what = format!("{name} bit {bit}");
            let Repaired { report, contents } = patient.treat(&disk, Keep::Proven, &what);
            let wrong = whole.iter().filter(|entry| !contents.contains(entry)).count();
            losses += usize::from(wrong > 0);
            // A block of a table, or one record of the log.
            assert!(wrong <= 4, "{what}: {wrong} keys are gone\n{report}");
            if name.starts_with("MANIFEST") {
                assert_eq!(wrong, 0, "{what}: the tables are there\n{report}");
            }
        }
    }
    assert!(losses > 20, "the damage hits something: {losses}");
}

#[test]
fn exchanged_blocks_are_lost_and_nothing_else() {
    let patient = Patient::new();
    for name in &patient.files {
        let bytes = patient.disk.read_file(name).unwrap();
        for block in (0..(bytes.len() / 512).saturating_sub(1)).take(24) {
            let mut swapped = bytes.clone();
            let (left, right) = swapped.split_at_mut(512 * (block + 1));
            left[512 * block..].swap_with_slice(&mut right[..512]);
            let disk = patient.copy();
            disk.write_file(name, &swapped);
            patient.treat(&disk, Keep::Proven, &format!("{name} block {block}"));
        }
    }
}

#[test]
fn tables_are_read_without_footer_and_index() {
    let patient = Patient::new();
    for name in &patient.tables() {
        let bytes = patient.disk.read_file(name).unwrap();
        let footer = &bytes[bytes.len() - 64..];
        let section = |at: usize| {
            let offset = u64::from_le_bytes(footer[at..at + 8].try_into().unwrap()) as usize;
            let len = u32::from_le_bytes(footer[at + 8..at + 12].try_into().unwrap()) as usize;
            offset..offset + len
        };
        let (filter, index, properties) = (section(0), section(16), section(32));
        let tail = filter.start..bytes.len();
        for (what, range) in [
            ("filter", filter),
            ("index", index),
            ("properties", properties),
            ("footer", bytes.len() - 64..bytes.len()),
            ("all behind the blocks", tail),
        ] {
            let disk = patient.copy();
            let mut damaged = bytes.clone();
            damaged[range].fill(0xa5);
            disk.write_file(name, &damaged);
            let what = format!("{what} of {name}");
            let Repaired { report, contents } = patient.treat(&disk, Keep::Proven, &what);
            assert_eq!(contents, patient.whole(), "{what}: {report}");
            assert!(report.is_complete(), "{what}: {report}");
            let file = report.files.iter().find(|file| file.name == *name).unwrap();
            assert!(!file.damage.is_empty(), "{what}: the damage is reported");
        }
    }
}

/// Every directory entry but tables and log is gone, or the manifest is all
/// garbage: order and levels follow from the sequence numbers.
#[test]
fn a_destroyed_manifest_costs_nothing_but_certainty() {
    let patient = Patient::new();
    let name = patient.of_kind("MANIFEST_")[0].clone();
    let len = patient.disk.read_file(&name).unwrap().len();
    for (from, state) in [(0, ManifestState::Lost), (4096, ManifestState::Lost)] {
        let disk = patient.copy();
        let mut bytes = patient.disk.read_file(&name).unwrap();
        bytes[from..len].fill(0x5a);
        disk.write_file(&name, &bytes);
        let Repaired { report, contents } = patient.treat(&disk, Keep::Proven, "manifest");
        assert_eq!((report.manifest, contents), (state, patient.whole()), "{report}");
        assert!(!report.is_complete() && !report.warnings.is_empty());
    }
}

#[test]
fn a_prefix_ends_before_the_first_lost_record() {
    let patient = Patient::new();
    let segments = patient.of_kind("wal");
    let mut cuts = 0;
    for name in segments {
        let bytes = patient.disk.read_file(name).unwrap();
        let used = bytes.iter().rposition(|&byte| byte != 0).unwrap_or(0);
        for offset in (4096 + 16..used.saturating_sub(200)).step_by(50) {
            let disk = patient.copy();
            disk.corrupt(name, offset as u64, 0x40);
            let what = format!("{name} at {offset}");
            let proven = patient.treat(&disk, Keep::Proven, &what);
            let prefix = patient.treat(&disk, Keep::Prefix, &what);
            assert!(prefix.report.is_prefix, "{what}: {}", prefix.report);
            let at = prefix.report.last_seqno;
            let newest = |versions: &Versions| {
                let before = versions.iter().rev().find(|(seqno, _)| *seqno <= at);
                before.and_then(|(_, value)| value.clone())
            };
            let state: Contents = (patient.history.iter())
                .filter_map(|(key, all)| Some((key.clone(), newest(all)?)))
                .collect();
            assert_eq!(prefix.contents, state, "{what}: the state after write {at}");
            if let [LostWrites { first, last: Some(last), .. }] = &proven.report.lost_writes[..] {
                cuts += 1;
                assert_eq!((at, first), (first - 1, last), "{what}: one record is lost");
                assert_eq!(prefix.report.writes_behind_gap, 64 - last, "{what}");
                let lost = (&prefix.report.lost_writes, &proven.report.lost_writes);
                assert_eq!(lost.0, lost.1, "{what}: what is read behind it is no loss");
                assert!(!proven.report.is_prefix && proven.report.last_seqno == 64);
            }
        }
    }
    assert!(cuts > 10, "{cuts} flips hit a record with others behind it");
}

#[test]
fn deleted_keys_stay_deleted_where_the_delete_is_known() {
    let patient = Patient::new();
    // The table with the deletes' older values is damaged; the deletes are in
    // level 0 and in the log.
    for name in patient.of_kind("compacted_") {
        let disk = patient.copy();
        disk.corrupt(name, 200, 0xff);
        let Repaired { contents, .. } = patient.treat(&disk, Keep::Proven, name);
        for (key, versions) in &patient.history {
            if versions.last().unwrap().1.is_none() {
                assert!(contents.iter().all(|(kept, _)| kept != key), "{key:?} is back");
            }
        }
    }
}

#[test]
fn what_the_device_cannot_read_is_lost_and_the_rest_is_kept() {
    let patient = Patient::new();
    let name = patient.of_kind("compacted_")[0].clone();
    let disk = patient.copy();
    disk.inject(Fault::new(Failure::Device).of(Operation::Read).on(name.clone()));
    let target = SimDisk::new(8);
    let report = repair(&disk.env(), &target.env(), &RepairOptions::default()).unwrap();
    assert!(!report.is_complete());
    assert!(report.keys > 0, "the log and the other tables are kept: {report}");
    let file = report.files.iter().find(|file| file.name == name).unwrap();
    assert!(file.damage.iter().any(|range| range.reason.contains("cannot read")), "{report}");
}

#[test]
fn an_open_database_and_a_used_directory_are_refused() {
    let patient = Patient::new();
    let disk = patient.copy();
    let target = SimDisk::new(9);
    target.write_file("notes.txt", b"mine");
    let refused = repair(&disk.env(), &target.env(), &RepairOptions::default());
    assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{refused:?}");
    let engine = open(&disk, tiny());
    let empty = SimDisk::new(9);
    let refused = repair(&disk.env(), &empty.env(), &RepairOptions::default());
    assert!(matches!(refused, Err(Error::Locked { .. })), "{refused:?}");
    drop(engine);
    let nothing = SimDisk::new(10);
    let refused = repair(&nothing.env(), &empty.env(), &RepairOptions::default());
    assert!(refused.as_ref().is_err_and(Error::is_not_found), "{refused:?}");
}

#[test]
fn files_that_swapped_names_lose_nothing() {
    let patient = Patient::new();
    let tables = patient.tables();
    let (one, other) = (&tables[0], tables.last().unwrap());
    let disk = patient.copy();
    disk.write_file(one, &patient.disk.read_file(other).unwrap());
    disk.write_file(other, &patient.disk.read_file(one).unwrap());
    let Repaired { report, contents } = patient.treat(&disk, Keep::Proven, "swapped");
    assert_eq!(contents, patient.whole(), "{report}");
    assert!(report.is_complete(), "{report}");
    let swapped = report.files.iter().filter(|file| [one, other].contains(&&file.name));
    assert!(swapped.clone().all(|file| file.used == FileUse::Used), "{report}");
    assert!(swapped.clone().all(|file| file.kind == RepairedKind::Table));
    assert_eq!(swapped.count(), 2);
}

/// The manifest knows tables and segments by their random identities, which is
/// all that their headers say.
#[test]
fn a_destroyed_header_costs_nothing_while_the_manifest_is_whole() {
    let patient = Patient::new();
    let logs = patient.of_kind("wal").into_iter().filter(|name| *name != "wal_next.log").cloned();
    for name in patient.tables().into_iter().chain(logs) {
        let disk = patient.copy();
        let mut bytes = patient.disk.read_file(&name).unwrap();
        bytes[..80].fill(0x77);
        disk.write_file(&name, &bytes);
        let Repaired { report, contents } = patient.treat(&disk, Keep::Proven, &name);
        assert_eq!(contents, patient.whole(), "{name}: {report}");
        assert!(report.is_complete(), "{name}: {report}");
    }
}
