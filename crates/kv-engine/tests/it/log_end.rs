//! The end of the log after a crash, a failed sync and a proper close: what is
//! cut, what is refused, and that nothing is shown which the device has not.

use kv_engine::{Engine, Error, Options, verify_directory};
use kv_env::{CrashChoice, Failure, Fault, Operation, SimDisk, SimOptions};

use crate::support::{contents, open, settle, tiny};

/// Where the first record of a log lies.
const FIRST_RECORD: usize = 4096 + 16;

fn write(engine: &Engine, number: u32) -> kv_engine::Result<()> {
    engine.put(&number.to_be_bytes(), &[7; 40]).map(|_| ())
}

fn used_bytes(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

/// The place of the first line of `history` that holds `text`.
#[track_caller]
fn place(history: &[String], text: &str) -> usize {
    history
        .iter()
        .position(|line| line.contains(text))
        .unwrap_or_else(|| panic!("nothing with {text:?} in {history:#?}"))
}

#[test]
fn a_torn_tail_is_reported_cut_and_synced_before_a_new_segment_is_made() {
    let disk = SimDisk::new(1);
    let engine = open(&disk, tiny());
    (0..3).for_each(|number| write(&engine, number).unwrap());
    let image = disk.crash(CrashChoice::All);
    let mut log = image.read_file("wal.log").unwrap();
    let used = used_bytes(&log);
    log[used - 5..].fill(0);
    image.write_file("wal.log", &log);

    let before = image.op_count() as usize;
    let engine = open(&image, tiny());
    let report = engine.recovery_report();
    let cut = report.segments[0].cut.clone().expect("the cut is reported");
    assert_eq!(cut.offset + cut.bytes, used as u64 - 5, "{cut:?}");
    assert_eq!(contents(&engine).len(), 2);
    let history = image.history().split_off(before);
    let truncated = place(&history, &format!("set the length of wal.log to {}", cut.offset));
    let synced = place(&history[truncated..], "sync wal.log") + truncated;
    let renamed = place(&history, "rename wal.log to wal_000001.log");
    let created = place(&history, "create wal.log");
    assert!(truncated < synced && synced < renamed && renamed < created, "{history:#?}");
    // The next write goes to the new segment, and the old one stays as it is.
    let before = image.op_count() as usize;
    write(&engine, 9).unwrap();
    let history = image.history().split_off(before);
    assert!(history.iter().all(|line| line.ends_with(" wal.log")), "{history:#?}");
}

/// A database with writes in tables and in the log, closed properly.
fn closed() -> SimDisk {
    let disk = SimDisk::new(2);
    let engine = open(&disk, tiny());
    (0..13).for_each(|number| write(&engine, number).unwrap());
    settle(&engine);
    engine.close().unwrap();
    assert!(used_bytes(&disk.read_file("wal.log").unwrap()) > FIRST_RECORD + 100);
    disk.crash(CrashChoice::All)
}

fn assert_refused(disk: &SimDisk, file: &str, what: &str) {
    let before = disk.fingerprint();
    match Engine::open_in(disk.env(), tiny()).map(|_| ()) {
        Err(Error::Corruption { file: named, .. }) => assert_eq!(named, file, "{what}"),
        other => panic!("{what}: {other:?}"),
    }
    assert_eq!(disk.fingerprint(), before, "{what}: refused, yet changed");
    let verified = verify_directory(&disk.env(), true);
    assert!(!verified.is_ok_and(|report| report.problems.is_empty()), "{what}: the check passes");
}

/// Nothing was being written when the power failed or the device rotted: no
/// end of the log but the one that the close made can be a tear.
#[test]
fn after_a_proper_close_no_damage_of_the_log_passes_for_a_tear() {
    let disk = closed();
    let whole = disk.read_file("wal.log").unwrap();
    for len in (0..whole.len()).filter(|len| *len >= 4000 || len % 500 == 0) {
        for zeros in [false, true] {
            let mut cut = whole[..len].to_vec();
            cut.resize(if zeros { whole.len() } else { len }, 0);
            if cut == whole {
                continue;
            }
            let image = disk.crash(CrashChoice::All);
            image.write_file("wal.log", &cut);
            assert_refused(&image, "wal.log", &format!("cut to {len} bytes, zeros: {zeros}"));
        }
    }
    for bit in FIRST_RECORD * 8..whole.len() * 8 {
        let image = disk.crash(CrashChoice::All);
        image.corrupt("wal.log", bit as u64 / 8, 1 << (bit % 8));
        assert_refused(&image, "wal.log", &format!("bit {bit}"));
    }
}

#[test]
fn a_close_leaves_both_marks_and_the_next_open_knows() {
    let disk = closed();
    assert!(open(&disk, tiny()).recovery_report().clean_shutdown);
    // An empty database, too, and one that was opened and closed again.
    let disk = SimDisk::new(3);
    for _ in 0..3 {
        open(&disk, tiny()).close().unwrap();
        let image = disk.crash(CrashChoice::None);
        assert!(open(&image, tiny()).recovery_report().clean_shutdown);
    }
}

/// The mark of the manifest speaks for the log as well: it may not be there if
/// the disk was too full for that of the log.
#[test]
fn a_log_without_room_for_its_mark_keeps_the_manifest_from_having_one() {
    for call in 0..40 {
        let disk = SimDisk::new(4);
        let engine = open(&disk, Options { reserve_bytes: Some(0), ..tiny() });
        (0..5).for_each(|number| write(&engine, number).unwrap());
        let truth = contents(&engine);
        let full = Fault::new(Failure::NoSpace).on("wal*").after(call).times(1);
        disk.inject(full);
        let outcome = engine.close();
        drop(engine);
        disk.clear_faults();
        let engine = open(&disk.crash(CrashChoice::None), tiny());
        assert_eq!(contents(&engine), truth, "call {call}: {outcome:?}");
    }
}

/// After a failed sync the page cache shows bytes that the device never got. A
/// process that is started again must not show them: the next power cut takes
/// them away.
#[test]
fn reopening_after_a_failed_sync_shows_what_the_device_holds() {
    for (name, seeds) in [("wal*", 0..60), ("MANIFEST_*", 0..20)] {
        for seed in seeds {
            let disk = SimDisk::with_options(seed, SimOptions::default());
            let engine = open(&disk, tiny());
            disk.inject(Fault::new(Failure::Device).of(Operation::Sync).on(name).after(seed % 6));
            for number in 0.. {
                let outcome =
                    write(&engine, number).and_then(|()| engine.run_background_step().map(drop));
                if outcome.is_err() {
                    break;
                }
            }
            drop(engine);
            let killed = disk.kill(disk.op_count());
            let shown = contents(&open(&killed, tiny()));
            for choice in killed.crash_choices() {
                let after_cut = contents(&open(&killed.crash(choice), tiny()));
                assert_eq!(after_cut, shown, "{name}, seed {seed}, {choice:?}");
            }
        }
    }
}

/// A mapped page stays in the cache whatever is asked for, so the files that an
/// open has to read from the device are never mapped.
#[test]
fn log_and_manifest_are_never_mapped() {
    let disk = SimDisk::new(5);
    for name in ["wal*", "MANIFEST_*"] {
        disk.inject(Fault::new(Failure::Panic).of(Operation::Map).on(name));
    }
    for _ in 0..3 {
        let engine = open(&disk, tiny());
        assert_eq!(engine.stats().visible_seqno % 20, 0);
        (0..20).for_each(|number| write(&engine, number).unwrap());
        settle(&engine);
        engine.close().unwrap();
        verify_directory(&disk.env(), true).unwrap();
    }
    assert!(!contents(&open(&disk, tiny())).is_empty());
}
