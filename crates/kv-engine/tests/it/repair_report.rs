//! Nothing is lost without a line in the report of the repair, and no line is
//! about a loss that is none.

use kv_engine::{
    Durability, Engine, FileUse, ManifestState, RepairOptions, RepairReport, WriteBatch,
    current_manifest, repair, verify_directory,
};
use kv_env::SimDisk;

use crate::support::{contents, open, tiny};

/// A database that was opened and closed again and again: each time a segment
/// is sealed, and only the first two hold a write.
fn patient(opens: u8) -> SimDisk {
    let disk = SimDisk::new(9);
    for number in 0..opens {
        let engine = open(&disk, tiny());
        match number {
            0 => assert_eq!(engine.put(b"key", b"value").unwrap().0, 1),
            1 => assert_eq!(engine.delete(b"key").unwrap().0, 2),
            _ => {}
        }
        engine.close().unwrap();
    }
    disk.forget_history();
    disk
}

fn treat(source: &SimDisk) -> (RepairReport, Engine) {
    let target = SimDisk::new(10);
    let report = repair(&source.env(), &target.env(), &RepairOptions::default()).unwrap();
    (report, open(&target, tiny()))
}

/// Its writes are gone, and as no later segment has any, no number shows it.
#[test]
fn a_missing_segment_before_empty_ones_is_a_loss_without_a_known_end() {
    let disk = patient(4);
    disk.fs().remove("wal_000002.log").unwrap();
    let (report, engine) = treat(&disk);
    let [lost] = &report.lost_writes[..] else { panic!("{report}") };
    assert_eq!((lost.first, lost.last), (2, None), "{report}");
    assert_eq!(lost.segment.as_deref(), Some("wal_000002.log"), "{report}");
    assert!(report.to_string().contains("LOST writes from 2 on"), "{report}");
    assert_eq!(contents(&engine).len(), 1, "the delete is lost, and the report says so");
}

/// The snapshot at its start is all that knows the oldest segment.
#[test]
fn without_the_first_record_of_the_manifest_no_segment_is_missed_in_vain() {
    let disk = patient(5);
    let name = current_manifest(&disk.env()).unwrap().unwrap();
    disk.corrupt(&name, 4096 + 16 + 30, 1);
    let (report, engine) = treat(&disk);
    assert_eq!(report.manifest, ManifestState::Partial, "{report}");
    let missing = report.files.iter().filter(|file| file.used == FileUse::Missing);
    assert_eq!(missing.count(), 0, "{report}");
    assert_eq!(report.lost_writes, [], "{report}");
    assert!(!report.is_complete() && contents(&engine).is_empty(), "{report}");
    let verified = verify_directory(&disk.env(), true).unwrap();
    assert_eq!(verified.problems.len(), 1, "{verified:?}");
}

#[test]
fn bytes_that_were_set_aside_before_are_told_to_stay_behind() {
    let disk = patient(2);
    let (report, _) = treat(&disk);
    let is_told = |report: &RepairReport| report.to_string().contains("quarantine/");
    assert!(!is_told(&report), "{report}");
    disk.fs().create_dir("quarantine").unwrap();
    disk.fs().sync_dir().unwrap();
    let (report, _) = treat(&disk);
    assert!(is_told(&report), "{report}");
}

/// The manifest knows where the first segment ends, which nobody finished: there
/// it does end.
#[test]
fn a_segment_that_ends_where_an_open_found_its_end_is_whole() {
    for value_bytes in [5, 4000, 9000] {
        let disk = SimDisk::new(9);
        let engine = open(&disk, tiny());
        for number in 0..3u8 {
            engine.put(&[number], &vec![b'v'; value_bytes]).unwrap();
        }
        let disk = disk.kill(disk.op_count());
        // It stays open until it is killed: a drop would finish the log.
        let engine = open(&disk, tiny());
        let disk = disk.kill(disk.op_count());
        drop(engine);
        let (report, engine) = treat(&disk);
        assert!(report.is_complete() && report.lost_writes.is_empty(), "{report}");
        assert_eq!(contents(&engine).len(), 3, "{report}");

        // And if its last record is gone, that is told.
        let segment = disk.read_file("wal_000001.log").unwrap();
        let cut = segment.len() - value_bytes;
        disk.write_file("wal_000001.log", &segment[..cut]);
        let (report, engine) = treat(&disk);
        assert!(!report.is_complete() && contents(&engine).len() == 2, "{report}");
        assert_eq!(report.lost_writes[0].first, 3, "{report}");
    }
}

/// A power cut may keep a later page of what was never synced and not the one
/// before: for an open the log ends in front of both, and so it does here.
#[test]
fn a_tear_at_the_start_of_a_frame_is_no_loss() {
    let disk = SimDisk::new(9);
    let engine = open(&disk, tiny());
    for (number, value_bytes) in [(0u8, 5000), (1, 5)] {
        let mut batch = WriteBatch::new();
        batch.put(&[number], &vec![b'v'; value_bytes]).unwrap();
        engine.write(batch, Durability::Os).unwrap();
    }
    let disk = disk.kill(disk.op_count());
    let mut log = disk.read_file("wal.log").unwrap();
    log[4096..8192].fill(0);
    disk.write_file("wal.log", &log);
    let (report, repaired) = treat(&disk);
    assert!(report.is_complete() && report.lost_writes.is_empty(), "{report}");
    let torn = report.files.iter().find(|file| file.name == "wal.log").unwrap();
    assert!(torn.damage.is_empty() && torn.torn_bytes > 4096, "{report}");
    assert_eq!(contents(&repaired), contents(&open(&disk, tiny())));
}
