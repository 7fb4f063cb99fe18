//! What an open finds before it may trust anything: which manifest counts, what
//! stands there without one, and how far a segment belongs to the log. Whatever
//! is refused is named and left as it was.

use kv_engine::{Engine, Error, FlushSize, Options, current_manifest, verify_directory};
use kv_env::{CrashChoice, DeviceFault, Failure, Fault, Operation, SimDisk};

use crate::interposed::Interposed;
use crate::support::{contents, generations, open, tiny};

/// Length of the header of a log, and where its first record starts.
const HEADER_BYTES: usize = 4096;
const FIRST_RECORD: usize = HEADER_BYTES + 16;

/// The refusal of an open, which has changed nothing.
fn refusal(disk: &SimDisk, options: Options) -> Error {
    drop(disk.fs().lock("LOCK").unwrap());
    let before = disk.fingerprint();
    let Err(error) = Engine::open_in(disk.env(), options) else { panic!("it opens") };
    assert_eq!(disk.fingerprint(), before, "refused, yet changed: {error}");
    error
}

fn all_values(disk: &SimDisk) -> usize {
    contents(&open(disk, tiny())).len()
}

/// The sectors of a manifest that was never finished may show one that was
/// removed before: of this database whole, of any other one without a record.
#[test]
fn what_stands_in_a_manifest_that_nobody_finished_gives_way() {
    let (_, ours) = generations(5);
    let (_, strange) = generations(6);
    let unreadable = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[FIRST_RECORD + 30] ^= 1;
        bytes
    };
    let cut = |bytes: &[u8]| [&bytes[..HEADER_BYTES], &[0; HEADER_BYTES]].concat();
    for (what, bytes) in [
        ("an older one", ours[0].1.clone()),
        ("the predecessor itself", ours[2].1.clone()),
        ("an older one, its first record damaged", unreadable(&ours[0].1)),
        ("an older one without a record", cut(&ours[1].1)),
        ("a strange one without a record", cut(&strange[1].1)),
        ("a strange one, its first record damaged", unreadable(&strange[0].1)),
        ("nothing", Vec::new()),
        ("zeros", vec![0; 2 * HEADER_BYTES]),
    ] {
        let (disk, _) = generations(5);
        disk.write_file("MANIFEST_000009", &bytes);
        let engine = open(&disk, tiny());
        assert_eq!(engine.recovery_report().manifest, ours[2].0, "{what}");
        assert_eq!(contents(&engine).len(), 3, "{what}");
        assert_eq!(current_manifest(&disk.env()).unwrap().unwrap(), "MANIFEST_000010", "{what}");
    }
}

/// Somebody has put it there: it was finished, and by others or later than its
/// name says.
#[test]
fn a_finished_manifest_under_a_name_that_is_not_its_own_is_refused() {
    let (_, ours) = generations(5);
    let (_, strange) = generations(6);
    for (what, name, bytes) in [
        ("of another database", "MANIFEST_000009", &strange[2].1),
        ("newer than its name", "MANIFEST_000002", &ours[2].1),
    ] {
        let (disk, _) = generations(5);
        disk.fs().remove(&ours[2].0).unwrap();
        disk.write_file(&ours[0].0, &ours[0].1);
        disk.write_file(name, bytes);
        let error = refusal(&disk, tiny());
        let is_named = matches!(&error, Error::Corruption { file, offset: 40, .. } if file == name);
        assert!(is_named, "{what}: {error}");
    }
    // Alone, there is nothing it could give way to.
    let (disk, _) = generations(5);
    disk.fs().remove(&ours[2].0).unwrap();
    disk.write_file("MANIFEST_000009", &ours[2].1);
    let error = refusal(&disk, tiny());
    assert!(error.to_string().contains("the header says manifest 3"), "{error}");
}

/// Whether it was finished cannot be told, so nobody may go on without it.
#[test]
fn a_manifest_whose_first_record_the_device_cannot_read_is_an_error() {
    let (disk, manifests) = generations(5);
    disk.write_file("MANIFEST_000009", &manifests[0].1);
    let unreadable = DeviceFault::unreadable(HEADER_BYTES as u64..u64::MAX);
    disk.inject_device(unreadable.on("MANIFEST_000009"));
    let error = refusal(&disk, tiny());
    let is_named = matches!(&error, Error::Io { path, .. } if path.contains("MANIFEST_000009"));
    assert!(is_named, "{error}");
    disk.clear_faults();
    assert_eq!(all_values(&disk), 3);
}

/// Before the first manifest there was nothing else: where there is something, a
/// damaged header is damage, and where there is nothing, a creation cut short.
#[test]
fn a_damaged_header_without_a_predecessor_is_refused_only_beside_data() {
    let disk = SimDisk::new(7);
    let engine = open(&disk, tiny());
    engine.put(b"key", b"value").unwrap();
    engine.flush().unwrap();
    engine.close().unwrap();
    let manifest = current_manifest(&disk.env()).unwrap().unwrap();
    let names = disk.fs().list().unwrap().into_iter().map(|entry| entry.name);
    let names: Vec<String> = names.collect();
    let table = names.iter().find(|name| name.ends_with(".db")).expect("it was flushed");
    for beside in [table.as_str(), "wal.log"] {
        for header in [None, Some(0), Some(90)] {
            let image = SimDisk::new(8);
            image.write_file(beside, &disk.read_file(beside).unwrap());
            if let Some(offset) = header {
                let mut bytes = disk.read_file(&manifest).unwrap();
                bytes[offset] ^= 1;
                image.write_file(&manifest, &bytes);
            }
            let error = refusal(&image, tiny());
            let Error::Corruption { file, offset: 0, what } = &error else { panic!("{error}") };
            match header {
                Some(_) => assert_eq!(*file, manifest, "{beside}: {error}"),
                None => assert!(what.contains("no valid manifest"), "{beside}: {error}"),
            }
        }
    }
    let alone = SimDisk::new(9);
    let mut bytes = disk.read_file(&manifest).unwrap();
    bytes[0] ^= 1;
    alone.write_file(&manifest, &bytes);
    assert!(open(&alone, tiny()).recovery_report().created);
}

/// Where memory tables are smaller than the log was made for, a segment fills
/// several of them: after the first flush a part of it is in tables, and is not
/// replayed again.
#[test]
fn a_segment_that_is_in_tables_in_part_is_replayed_from_there_on() {
    let disk = SimDisk::new(10);
    let large = Options { memtable_flush_size: FlushSize::Entries(1000), ..tiny() };
    let engine = open(&disk, large);
    for number in 0..20u32 {
        engine.put(&number.to_be_bytes(), b"value").unwrap();
    }
    let killed = disk.kill(disk.op_count());
    let engine = open(&killed, tiny());
    assert_eq!(engine.recovery_report().batches_replayed, 20);
    while engine.stats().flushes == 0 {
        assert!(engine.run_background_step().unwrap(), "there is a table to be flushed");
    }
    let again = killed.kill(killed.op_count());
    let engine = open(&again, tiny());
    assert_eq!(engine.recovery_report().batches_replayed, 12);
    assert_eq!(engine.recovery_report().segments[0].records, 20);
    assert_eq!(contents(&engine).len(), 20);
}

/// A writer that goes on in the prepared segment, and the disk as a kill then
/// leaves it: both are as long as they were made.
fn two_open_segments() -> SimDisk {
    let disk = SimDisk::new(11);
    let engine = open(&disk, tiny());
    for number in 0..9u8 {
        engine.put(&[number], &[b'v'; 100]).unwrap();
    }
    let killed = disk.kill(disk.op_count());
    std::mem::forget(engine);
    assert!(used_bytes(&killed, "wal_next.log") > FIRST_RECORD, "the ninth went there");
    killed
}

fn used_bytes(disk: &SimDisk, name: &str) -> usize {
    let bytes = disk.read_file(name).unwrap();
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

/// It was synced before its successor took a record, so it is no tear.
#[test]
fn a_torn_record_before_a_used_segment_is_refused() {
    let disk = two_open_segments();
    let used = used_bytes(&disk, "wal.log");
    let mut bytes = disk.read_file("wal.log").unwrap();
    bytes[used - 10..].fill(0);
    disk.write_file("wal.log", &bytes);
    let error = refusal(&disk, tiny());
    let Error::Corruption { file, offset, what } = &error else { panic!("{error}") };
    assert_eq!(file, "wal.log");
    assert!((used as u64 - 150..used as u64).contains(offset), "{error}");
    assert_eq!(what, "a log record is damaged, and a later segment follows");
    // The same in the last segment is a tear.
    let disk = two_open_segments();
    let used = used_bytes(&disk, "wal_next.log");
    let mut bytes = disk.read_file("wal_next.log").unwrap();
    bytes[used - 10..].fill(0);
    disk.write_file("wal_next.log", &bytes);
    assert_eq!(all_values(&disk), 8);
}

/// The end mark of a segment is written when its successor is in use already.
#[test]
fn a_torn_end_mark_before_a_used_segment_costs_nothing() {
    let disk = SimDisk::new(11);
    let engine = open(&disk, tiny());
    for number in 0..9u8 {
        engine.put(&[number], &[b'v'; 100]).unwrap();
    }
    let records_end = used_bytes(&disk, "wal.log");
    let from = disk.op_count();
    engine.run_background_step().unwrap();
    let mut marked = 0;
    for op in from..=disk.op_count() {
        let image = disk.kill(op);
        let Some(mut bytes) = image.read_file("wal.log") else { continue };
        let is_next_used = image.read_file("wal_next.log").is_some();
        if !is_next_used || used_bytes(&image, "wal.log") <= records_end {
            continue;
        }
        marked += 1;
        bytes[records_end + 5..].fill(0);
        image.write_file("wal.log", &bytes);
        assert_eq!(all_values(&image), 9, "after op {op}");
    }
    assert!(marked > 0, "the mark comes before the name");
}

/// A damaged manifest still says in its other edits where a segment ends that has
/// no end mark: the check judges it by that.
#[test]
fn the_end_of_a_recovered_segment_is_known_behind_damage_of_the_manifest() {
    let disk = SimDisk::new(16);
    let engine = open(&disk, tiny());
    for number in 0..2u8 {
        engine.put(&[number], b"value").unwrap();
    }
    let killed = disk.kill(disk.op_count());
    std::mem::forget(engine);
    let engine = open(&killed, tiny());
    let killed = killed.kill(killed.op_count());
    std::mem::forget(engine);
    let manifest = current_manifest(&killed.env()).unwrap().unwrap();
    killed.corrupt(&manifest, used_bytes(&killed, &manifest) as u64 - 6, 1);
    let files_with_problems = || -> Vec<String> {
        let report = verify_directory(&killed.env(), true).unwrap();
        report.problems.into_iter().map(|problem| problem.file).collect()
    };
    let files = files_with_problems();
    assert!(!files.is_empty() && files.iter().all(|file| *file == manifest), "{files:?}");
    // Cut behind its first record: were its end not known, nothing would be missing.
    let segment = "wal_000001.log";
    let whole = killed.read_file(segment).unwrap();
    let record_bytes = (whole.len() - FIRST_RECORD) / 2;
    killed.write_file(segment, &whole[..FIRST_RECORD + record_bytes]);
    let files = files_with_problems();
    assert!(files.iter().any(|file| file == segment), "{files:?}");
}

/// Two futures of one database: each has sealed a segment of the same number.
#[test]
fn a_sealed_segment_of_another_time_is_refused() {
    let disk = SimDisk::new(15);
    open(&disk, tiny()).close().unwrap();
    let future = |seed: u64| {
        let disk = disk.crash(CrashChoice::Seeded(seed));
        for _ in 0..2 {
            let engine = open(&disk, tiny());
            engine.put(b"key", &seed.to_be_bytes()).unwrap();
            engine.close().unwrap();
        }
        disk
    };
    let (disk, other) = (future(1), future(2));
    let sealed = "wal_000002.log";
    let (here, there) = (disk.read_file(sealed).unwrap(), other.read_file(sealed).unwrap());
    assert_eq!((here.len(), here == there), (there.len(), false));
    disk.write_file(sealed, &there);
    let error = refusal(&disk, tiny());
    let is_named = matches!(&error, Error::Corruption { file, offset: 48, .. } if file == sealed);
    assert!(is_named && error.to_string().contains("another copy"), "{error}");
}

/// The device shows a bit where there is none and is right again later: what was
/// taken for a torn end is cut, and there is nothing to be kept of it.
#[test]
fn a_torn_end_that_is_not_there_when_it_is_set_aside_leaves_nothing() {
    let (mut kept, mut nothing) = (0, 0);
    for misreads in 0..8 {
        let disk = SimDisk::new(12);
        let engine = open(&disk, tiny());
        engine.put(b"key", b"value").unwrap();
        let killed = disk.kill(disk.op_count());
        std::mem::forget(engine);
        let behind = used_bytes(&killed, "wal.log") as u64 + 20;
        killed.inject_device(DeviceFault::flipped_bits(behind, 1).on("wal.log").times(misreads));
        let engine = open(&killed, tiny());
        assert_eq!(contents(&engine).len(), 1, "{misreads} misreads");
        let Some(cut) = engine.recovery_report().segments[0].cut.clone() else { continue };
        *(if cut.kept_as.is_some() { &mut kept } else { &mut nothing }) += 1;
        assert_eq!(cut.kept_as.is_some(), cut.bytes > 0, "{cut:?}");
    }
    assert!(nothing > 0, "{kept} were kept and {nothing} not");
}

/// A killed database of three writes, the last one torn, and where its log ended.
fn torn() -> (SimDisk, usize) {
    let disk = SimDisk::new(13);
    let engine = open(&disk, tiny());
    for number in 0..3u8 {
        engine.put(&[number], b"value").unwrap();
    }
    let killed = disk.kill(disk.op_count());
    std::mem::forget(engine);
    let used = used_bytes(&killed, "wal.log");
    let mut bytes = killed.read_file("wal.log").unwrap();
    bytes[used - 3..].fill(0);
    killed.write_file("wal.log", &bytes);
    (killed, used)
}

/// A part of them, which an interrupted recovery has left, is in the way and
/// cannot be removed.
#[test]
fn torn_bytes_that_cannot_be_set_aside_stay_where_they_are() {
    let (killed, _) = torn();
    let bytes = killed.read_file("wal.log").unwrap();
    let probe = open(&killed.kill(killed.op_count()), tiny());
    let kept_as = probe.recovery_report().segments[0].cut.clone().unwrap().kept_as.unwrap();
    killed.fs().create_dir("quarantine").unwrap();
    killed.write_file(&kept_as, b"a part");
    killed.inject(Fault::new(Failure::Device).of(Operation::Remove).on(kept_as.as_str()));
    let Err(error) = Engine::open_in(killed.env(), tiny()) else { panic!("it opens") };
    assert!(matches!(&error, Error::Io { path, .. } if path.contains(&kept_as)), "{error}");
    assert_eq!(killed.read_file("wal.log").unwrap(), bytes, "not cut before it is kept");
    killed.clear_faults();
    assert_eq!(all_values(&killed), 2);
    assert_ne!(killed.read_file(&kept_as).unwrap(), b"a part");
}

/// What is kept would be less than what is cut.
#[test]
fn torn_bytes_that_go_while_they_are_kept_are_not_cut() {
    let (killed, used) = torn();
    let (fs, env) = Interposed::on(&killed);
    let others = killed.fs();
    fs.before(Operation::Create, "quarantine/", move || {
        others.truncate("wal.log", used as u64 - 9).unwrap();
    });
    let Err(error) = Engine::open_in(env, tiny()) else { panic!("it opens") };
    assert_eq!(fs.acts_left(), 0);
    assert!(error.to_string().contains("became shorter"), "{error}");
}

/// An administrator tidies up at the same time.
#[test]
fn a_leftover_that_somebody_else_removes_first_is_no_error() {
    let disk = SimDisk::new(14);
    let engine = open(&disk, tiny());
    engine.put(b"key", b"value").unwrap();
    engine.flush().unwrap();
    engine.close().unwrap();
    let leftover = "compacted_000001.db";
    assert!(disk.read_file(leftover).is_none());
    disk.write_file(leftover, b"the beginning of a table");
    let (fs, env) = Interposed::on(&disk);
    let others = disk.fs();
    fs.before(Operation::Remove, leftover, move || others.remove(leftover).unwrap());
    let engine = Engine::open_in(env, tiny()).unwrap();
    assert_eq!((fs.acts_left(), disk.read_file(leftover)), (0, None));
    assert_eq!(engine.recovery_report().removed, [leftover]);
    assert_eq!(contents(&engine).len(), 1);
}
