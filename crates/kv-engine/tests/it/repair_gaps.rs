//! Repairs of what is rare: compressed blocks and large values without an
//! index, a device that fails in parts of a file, a source that cannot be
//! written, and a manifest of which one edit is destroyed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use kv_core::FileKind;
use kv_engine::{
    Compression, Env, ManifestState, RepairOptions, RepairReport, current_manifest,
    manifest_tables, repair,
};
use kv_env::{DeviceFault, Failure, Fault, FaultFs, Operation, SimDisk};
use kv_wal::{LogReader, SegmentPosition};

use crate::support::{contents, open, tiny};

type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

/// Bytes that LZ4 cannot shorten.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A database that was closed properly: tables of two levels with small values
/// and large ones, and writes that are in the log alone.
fn patient(compression: Compression) -> (SimDisk, Contents) {
    let disk = SimDisk::new(21);
    let mut options = tiny();
    options.table.compression = compression;
    options.table.block_bytes = 512;
    let engine = open(&disk, options);
    let mut whole = Contents::new();
    let mut put = |key: u64, value: Vec<u8>| {
        let key = format!("key{key:03}").into_bytes();
        engine.put(&key, &value).unwrap();
        whole.insert(key, value);
    };
    for number in 0..30 {
        put(number * 7 % 30, format!("first {number} ").repeat(12).into_bytes());
    }
    put(40, noise(40, 70_000));
    put(41, b"again ".repeat(20_000));
    put(42, noise(42, 200_000));
    // LZ4 halves it, and it is still longer than a block.
    let halves = (0..4).map(|part| noise(60 + part, 40_000));
    put(45, halves.flat_map(|half| [half.clone(), half].concat()).collect());
    engine.compact().unwrap();
    for number in 0..10 {
        put(3 * number, format!("second {number} ").repeat(9).into_bytes());
    }
    put(43, b"more ".repeat(40_000));
    put(44, noise(44, 90_000));
    engine.flush().unwrap();
    for number in 50..55 {
        put(number, noise(number, 1500));
    }
    engine.close().unwrap();
    disk.forget_history();
    (disk, whole)
}

fn table_names(disk: &SimDisk) -> Vec<String> {
    let tables = manifest_tables(&disk.env()).unwrap();
    tables.into_iter().map(|(_, meta)| meta.file_name()).collect()
}

/// Where the blocks of a table are, all together.
fn blocks(bytes: &[u8]) -> Range<usize> {
    let footer = &bytes[bytes.len() - 64..];
    80..u64::from_le_bytes(footer[..8].try_into().unwrap()) as usize
}

fn treat(source: &Env) -> (RepairReport, Contents) {
    let target = SimDisk::new(22);
    // It checks the new database itself.
    let report = repair(source, &target.env(), &RepairOptions::default()).unwrap();
    let engine = open(&target, tiny());
    let found: Contents = contents(&engine).into_iter().collect();
    assert_eq!(found.len() as u64, report.keys);
    engine.close().unwrap();
    (report, found)
}

/// True if a damaged range of the report spans `key`.
fn is_named(report: &RepairReport, key: &[u8]) -> bool {
    let key = String::from_utf8(key.to_vec()).unwrap();
    report.files.iter().flat_map(|file| &file.damage).any(|range| {
        range.loses_data
            && range.from_key.as_ref().is_none_or(|from| *from <= key)
            && range.to_key.as_ref().is_none_or(|to| key <= *to)
    })
}

#[test]
fn compressed_blocks_and_large_values_are_found_without_an_index() {
    for compression in [Compression::None, Compression::Lz4] {
        let (disk, whole) = patient(compression);
        let tables = table_names(&disk);
        assert!(tables.len() >= 2, "{tables:?}");
        for name in &tables {
            let mut bytes = disk.read_file(name).unwrap();
            let end = blocks(&bytes).end;
            bytes[end..].fill(0xa5);
            disk.write_file(name, &bytes);
        }
        let (report, found) = treat(&disk.env());
        assert!(found == whole, "{compression:?}: {report}");
        assert_eq!(report.manifest, ManifestState::Whole);
    }
}

/// Without an index nothing but the block itself says where the next one is.
#[test]
fn damage_in_a_large_value_costs_its_block_alone() {
    for compression in [Compression::None, Compression::Lz4] {
        let (pristine, whole) = patient(compression);
        for name in table_names(&pristine) {
            let bytes = pristine.read_file(&name).unwrap();
            let blocks = blocks(&bytes);
            for at in blocks.clone().step_by(blocks.len() / 12) {
                let (disk, _) = patient(compression);
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x11;
                damaged[blocks.end..].fill(0xa5);
                disk.write_file(&name, &damaged);
                let (report, found) = treat(&disk.env());
                let what = format!("{compression:?}, {name} at {at}: {report}");
                let lost: Vec<_> =
                    whole.iter().filter(|(key, value)| found.get(*key) != Some(*value)).collect();
                assert!((1..=6).contains(&lost.len()), "{} keys, {what}", lost.len());
                assert!(lost.iter().all(|(key, _)| is_named(&report, key)), "{what}");
                assert!(!report.is_complete(), "{what}");
            }
        }
    }
}

#[test]
fn a_part_that_the_device_cannot_read_costs_no_more_than_what_it_holds() {
    let (pristine, whole) = patient(Compression::None);
    for name in table_names(&pristine) {
        let len = pristine.read_file(&name).unwrap().len() as u64;
        let places = (0..4096.min(len)).step_by(512).chain((4096..len).step_by(37 * 512));
        for at in places {
            let (disk, _) = patient(Compression::None);
            disk.inject_device(DeviceFault::unreadable(at..at + 1).on(name.clone()));
            let (report, found) = treat(&disk.env());
            let what = format!("{name} at {at}: {report}");
            for (key, value) in &whole {
                // An older value is proven as well, and the newer one missing.
                assert!(found.get(key) == Some(value) || is_named(&report, key), "{what}");
            }
            assert!(found.len() + 20 >= whole.len(), "{} keys, {what}", found.len());
            let file = report.files.iter().find(|file| file.name == name).unwrap();
            let mut unreadable =
                file.damage.iter().filter(|range| range.reason.contains("cannot read"));
            let is_named = unreadable
                .any(|range| range.offset <= at && at < range.offset + range.bytes.max(4096));
            assert!(is_named, "{what}");
        }
    }
}

/// The same in a segment of the log: records before and behind are kept.
#[test]
fn an_unreadable_part_of_the_log_is_a_gap() {
    let (pristine, whole) = patient(Compression::None);
    let tables_alone = {
        let (disk, _) = patient(Compression::None);
        for name in kv_engine::segment_names(&disk.env()).unwrap() {
            disk.fs().remove(&name).unwrap();
        }
        treat(&disk.env()).1
    };
    let mut gaps = 0;
    for name in kv_engine::segment_names(&pristine.env()).unwrap() {
        let len = pristine.read_file(&name).unwrap().len() as u64;
        for at in (0..len.min(20 << 10)).step_by(4096) {
            let (disk, _) = patient(Compression::None);
            disk.inject_device(DeviceFault::unreadable(at..at + 1).on(name.clone()));
            let (report, found) = treat(&disk.env());
            let what = format!("{name} at {at}: {report}");
            let lost = whole.iter().filter(|(key, value)| found.get(*key) != Some(*value)).count();
            assert!(lost <= 5, "{lost} keys, {what}");
            assert!(tables_alone.iter().all(|(key, _)| found.contains_key(key)), "{what}");
            assert!(lost == 0 || !report.is_complete(), "{what}");
            // The newest write is behind it.
            gaps += usize::from(lost > 0 && found.contains_key(&b"key054"[..]));
        }
    }
    assert!(gaps > 0, "no fault left a gap with records around it");
}

/// A failing device is often mounted for reading only.
#[test]
fn a_source_that_cannot_be_written_is_repaired_without_a_lock() {
    let (disk, whole) = patient(Compression::None);
    let fs = FaultFs::new(disk.fs());
    let writing = [
        Operation::Lock,
        Operation::Create,
        Operation::Rename,
        Operation::Remove,
        Operation::Truncate,
        Operation::CreateDir,
        Operation::SyncDir,
        Operation::Reserve,
        Operation::Append,
        Operation::ZeroFill,
        Operation::Sync,
        Operation::Seal,
    ];
    for operation in writing {
        fs.inject(Fault::new(Failure::ReadOnly).of(operation));
    }
    let source = Env { fs: Arc::new(fs.clone()), ..disk.env() };
    let (report, found) = treat(&source);
    assert!(found == whole && report.is_complete(), "{report}");
    let expected = "the source could not be locked, for nothing in it can be written";
    assert_eq!(report.warnings, [expected]);
    // The one attempt at a change was the lock.
    let calls = |operation| (operation, fs.count(operation));
    assert_eq!(calls(Operation::Lock), (Operation::Lock, 1));
    for operation in &writing[1..] {
        assert_eq!(calls(*operation), (*operation, 0));
    }
    // Any other failure of the lock is no reason to go on without it.
    fs.clear_faults();
    fs.inject(Fault::new(Failure::AccessDenied).of(Operation::Lock));
    let target = SimDisk::new(22);
    let refused = repair(&source, &target.env(), &RepairOptions::default());
    assert!(matches!(refused, Err(kv_engine::Error::Io { .. })), "{refused:?}");
}

/// Where the records of the manifest start in its file, and how long they are.
fn edits(disk: &SimDisk, name: &str) -> Vec<Range<u64>> {
    let position = SegmentPosition::Last;
    let mut reader = LogReader::open(&*disk.fs(), name, FileKind::Manifest, position).unwrap();
    let mut edits = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        edits.push(record.file_offset..record.file_offset + 20 + record.payload.len() as u64);
    }
    edits
}

/// The tables are there, and what the lost edit said of them follows from their
/// sequence numbers. What nobody knows any more is said.
#[test]
fn a_destroyed_edit_behind_an_intact_snapshot_costs_nothing_but_certainty() {
    let (pristine, whole) = patient(Compression::None);
    let name = current_manifest(&pristine.env()).unwrap().unwrap();
    let edits = edits(&pristine, &name);
    assert!(edits.len() > 3, "{edits:?}");
    for (number, edit) in edits.iter().enumerate() {
        for at in [edit.start + 5, (edit.start + 20 + edit.end) / 2] {
            let (disk, _) = patient(Compression::None);
            disk.corrupt(&name, at, 0x42);
            let (report, found) = treat(&disk.env());
            let what = format!("edit {number} of {}, byte {at}: {report}", edits.len());
            assert!(found == whole, "{what}");
            assert_eq!(report.manifest, ManifestState::Partial, "{what}");
            assert!(!report.is_complete() && !report.is_prefix, "{what}");
            let file = report.files.iter().find(|file| file.name == name).unwrap();
            assert_eq!(file.records, edits.len() as u64 - 1, "{what}");
            let [range] = &file.damage[..] else { panic!("{what}") };
            // What begins a frame is damaged from its stamp on.
            let start = if edit.start == 4112 { 4096 } else { edit.start };
            assert!(range.loses_data && range.offset == start, "{what}");
            assert_eq!(report.warnings.len(), 2, "{what}");
            assert!(report.warnings[0].starts_with("the manifest cannot be used as it is: "));
        }
    }
}
