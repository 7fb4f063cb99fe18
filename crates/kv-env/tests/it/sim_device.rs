//! A device that lies: lost and misdirected writes, misdirected reads, flipped
//! bits, sectors that cannot be read.

use kv_core::{Error, Result};
use kv_env::{CrashChoice, DeviceFault, Failure, Fault, Fs, Operation, SimDisk};

const SECTOR: usize = 512;

/// Writes a file of four sectors that hold 1, 2, 3, 4, and syncs it.
fn write_numbered(fs: &dyn Fs, name: &str) {
    let mut file = fs.create(name).unwrap();
    for number in 1..=4 {
        file.append(&[number; SECTOR]).unwrap();
    }
    file.sync().unwrap();
    fs.sync_dir().unwrap();
}

/// The first byte of each sector, all of whose bytes must be the same.
fn numbers(bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.chunks(SECTOR).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
    bytes.iter().step_by(SECTOR).copied().collect()
}

fn cached(disk: &SimDisk, name: &str) -> Vec<u8> {
    numbers(&disk.fs().open(name).unwrap().read_all().unwrap())
}

fn stored(disk: &SimDisk, name: &str) -> Vec<u8> {
    numbers(&disk.crash(CrashChoice::None).read_file(name).unwrap())
}

#[test]
fn a_lost_write_brings_the_old_bytes_back_once_the_cache_is_gone() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    let mut file = fs.create("wal.log").unwrap();
    file.zero_fill(4 * SECTOR as u64).unwrap();
    file.sync().unwrap();
    fs.sync_dir().unwrap();
    disk.inject_device(DeviceFault::lost_write(512..1536).on("wal*").times(1));
    for number in 1..=4 {
        file.append(&[number; SECTOR]).unwrap();
    }
    file.sync().unwrap();
    assert_eq!(cached(&disk, "wal.log"), [1, 2, 3, 4]);
    assert_eq!(stored(&disk, "wal.log"), [1, 0, 0, 4]);
    let history = disk.history();
    assert_eq!(history[8], "8: sync wal.log; sector 1 was lost; sector 2 was lost");
    // A sync that has nothing to write mends nothing.
    file.sync().unwrap();
    assert_eq!(stored(&disk, "wal.log"), [1, 0, 0, 4]);
    fs.open("wal.log").unwrap().drop_cache().unwrap();
    assert_eq!(cached(&disk, "wal.log"), [1, 0, 0, 4]);
}

#[test]
fn a_lost_write_of_a_longer_file_keeps_the_length() {
    let disk = SimDisk::new(1);
    disk.inject_device(DeviceFault::lost_write(1024..2048));
    write_numbered(&*disk.fs(), "a");
    assert_eq!(stored(&disk, "a"), [1, 2, 0, 0]);
}

#[test]
fn a_misdirected_write_hurts_two_places() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    write_numbered(&*fs, "victim");
    disk.inject_device(DeviceFault::misdirected_write(512..1024, "victim", 1536).on("a"));
    write_numbered(&*fs, "a");
    assert_eq!((cached(&disk, "a"), cached(&disk, "victim")), (vec![1, 2, 3, 4], vec![1, 2, 3, 4]));
    assert_eq!(stored(&disk, "a"), [1, 0, 3, 4]);
    assert_eq!(stored(&disk, "victim"), [1, 2, 3, 2]);
    fs.open("victim").unwrap().drop_cache().unwrap();
    assert_eq!(cached(&disk, "victim"), [1, 2, 3, 2]);
    assert_eq!(cached(&disk, "a"), [1, 2, 3, 4], "its own cache is still there");
}

#[test]
fn a_misdirected_write_may_stay_in_its_file_or_miss_every_file() {
    let disk = SimDisk::new(1);
    disk.inject_device(DeviceFault::misdirected_write(0..1024, "same", 1024).on("same"));
    write_numbered(&*disk.fs(), "same");
    assert_eq!(stored(&disk, "same"), [0, 0, 1, 2]);
    disk.inject_device(DeviceFault::misdirected_write(0..512, "missing", 0).on("nowhere"));
    write_numbered(&*disk.fs(), "nowhere");
    assert_eq!(stored(&disk, "nowhere"), [0, 2, 3, 4]);
    disk.inject_device(DeviceFault::misdirected_write(0..512, "same", 1 << 20).on("behind"));
    write_numbered(&*disk.fs(), "behind");
    assert_eq!(stored(&disk, "behind"), [0, 2, 3, 4]);
    assert_eq!(stored(&disk, "same"), [0, 0, 1, 2]);
}

#[test]
fn write_faults_wait_for_a_sync_that_succeeds_and_writes_there() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    disk.inject_device(DeviceFault::lost_write(512..1024).on("a").after(1).times(1));
    disk.inject(Fault::new(Failure::Device).of(Operation::Sync).on("b"));
    let mut file = fs.create("a").unwrap();
    fs.sync_dir().unwrap();
    file.append(&[1; SECTOR]).unwrap();
    file.sync().unwrap();
    file.append(&[2; 100]).unwrap();
    // The first that it concerns passes.
    file.sync().unwrap();
    assert_eq!(disk.crash(CrashChoice::None).read_file("a").unwrap()[512..], [2; 100]);
    file.append(&[3; 100]).unwrap();
    file.sync().unwrap();
    let stored = disk.crash(CrashChoice::None).read_file("a").unwrap();
    assert_eq!(stored[512..], [[2; 100], [0; 100]].concat(), "the sector as it was before");
    // A later write of the sector, from the cache, mends it.
    file.append(&[4; 100]).unwrap();
    file.sync().unwrap();
    let stored = disk.crash(CrashChoice::None).read_file("a").unwrap();
    assert_eq!(stored[512..], [[2; 100], [3; 100], [4; 100]].concat());
}

#[test]
fn reads_may_come_from_elsewhere_or_with_a_flipped_bit_and_nothing_is_changed() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    disk.write_file("other", &[9; 3 * SECTOR]);
    write_numbered(&*fs, "a");
    let file = fs.open("a").unwrap();
    disk.inject_device(DeviceFault::misdirected_read(512..2048, "other", 512).on("a").times(1));
    // Two sectors are there, and zeros behind the end.
    assert_eq!(numbers(&file.read_all().unwrap()), [1, 9, 9, 0]);
    assert_eq!(numbers(&file.read_all().unwrap()), [1, 2, 3, 4]);

    disk.inject_device(DeviceFault::flipped_bits(700, 0x40).on("a").after(1).times(1));
    let mut byte = [0; 1];
    let mut read = |offset| file.read_at(offset, &mut byte).map(|_| byte[0]).unwrap();
    assert_eq!([read(700), read(699), read(700), read(700)], [2, 2, 0x42, 2]);
    assert_eq!(disk.crash(CrashChoice::None).fingerprint(), disk.fingerprint());

    // A map sees the same, and keeps it.
    disk.inject_device(DeviceFault::flipped_bits(0, 0x80).on("a").times(1));
    assert_eq!(file.map().unwrap().bytes()[0], 0x81);
    assert_eq!(file.map().unwrap().bytes()[0], 1);
    let history = disk.history().join("\n");
    for line in [
        "before 8: read a: bytes 512 to 2048 come from 512 of other",
        "before 8: read a: bits 0x40 at 700 flipped",
        "before 8: map a: bits 0x80 at 0 flipped",
    ] {
        assert!(history.contains(line), "{history}");
    }
}

#[test]
fn a_sector_that_cannot_be_read_is_an_error_there_and_only_there() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    write_numbered(&*fs, "a");
    write_numbered(&*fs, "b");
    disk.inject_device(DeviceFault::unreadable(1024..1536).on("a"));
    let file = fs.open("a").unwrap();
    let mut buffer = [0; SECTOR];
    for (offset, is_readable) in [(0, true), (512, true), (513, false), (1535, false), (1536, true)]
    {
        let outcome = file.read_at(offset, &mut buffer);
        assert_eq!(outcome.is_ok(), is_readable, "{offset}");
        if let Err(error) = outcome {
            assert!(matches!(error, Error::Io { operation: "read", .. }), "{error}");
        }
    }
    fs.open("b").unwrap().read_all().unwrap();
    disk.clear_faults();
    file.read_all().unwrap();
}

#[test]
fn mapping_what_cannot_be_read_stops_the_machine_and_the_disk_survives() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    write_numbered(&*fs, "a");
    write_numbered(&*fs, "b");
    disk.inject_device(DeviceFault::unreadable(0..1).on("a"));
    fs.open("b").unwrap().map().unwrap();
    assert!(!disk.is_stopped());
    assert!(fs.open("a").unwrap().map().is_err());
    assert!(disk.is_stopped());
    assert!(fs.open("b").is_err() && fs.list().is_err());
    assert!(disk.history().last().unwrap().contains("SIGBUS"));
    let restarted = disk.kill(disk.op_count());
    assert_eq!(cached(&restarted, "a"), [1, 2, 3, 4]);
}

/// A run under every kind of fault; what it answers to its caller.
fn troubled_run(seed: u64) -> (SimDisk, Vec<String>) {
    let disk = SimDisk::new(seed);
    disk.inject(Fault::new(Failure::NoSpace).of(Operation::Append).after(5).times(2));
    disk.inject(Fault::new(Failure::Device).of(Operation::Sync).on("b").after(1).times(1));
    disk.inject_device(DeviceFault::lost_write(512..1024).times(2));
    disk.inject_device(DeviceFault::misdirected_write(0..512, "b", 512).on("c").after(1));
    disk.inject_device(DeviceFault::misdirected_read(0..100, "a", 300).on("b"));
    disk.inject_device(DeviceFault::flipped_bits(7, 1).after(1).times(1));
    let fs = disk.fs();
    let mut answers = Vec::new();
    let mut note = |result: Result<Vec<u8>>| answers.push(format!("{result:?}"));
    for round in 0..3_u8 {
        for name in ["a", "b", "c"] {
            let name = format!("{name}{}", if round == 0 { "" } else { "x" });
            let Ok(mut file) = fs.create(&name) else { continue };
            for _ in 0..4 {
                note(file.append(&[round + 1; 400]).map(|()| Vec::new()));
                note(file.sync().map(|()| Vec::new()));
            }
            let reader = fs.open(&name).unwrap();
            note(reader.drop_cache().map(|()| Vec::new()));
            note(reader.read_all());
        }
        note(fs.rename("cx", "c").map(|()| Vec::new()));
        note(fs.sync_dir().map(|()| Vec::new()));
    }
    (disk, answers)
}

#[test]
fn the_same_seed_and_calls_give_the_same_log_answers_and_images_under_all_faults() {
    let (first, answers) = troubled_run(7);
    let (second, again) = troubled_run(7);
    assert_eq!(first.history(), second.history());
    assert_eq!(answers, again);
    let log = first.history().join("\n");
    for part in ["failed", "was lost", "went to 1 of file", "come from", "flipped"] {
        assert!(log.contains(part), "no {part:?} in\n{log}");
    }
    for op in 0..=first.op_count() {
        let prints = |disk: &SimDisk| -> Vec<(CrashChoice, u64)> {
            disk.images(op).map(|(choice, image)| (choice, image.fingerprint())).collect()
        };
        assert_eq!(prints(&first), prints(&second), "op {op}");
        // An image is a value: asking again, in any order, gives the same.
        assert_eq!(prints(&first), prints(&first), "op {op}");
    }
    let (other, _) = troubled_run(8);
    assert_ne!(first.history(), other.history(), "the seed decides how much a failed append left");
}

#[test]
fn the_first_sync_that_went_astray_is_found_in_the_log() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    write_numbered(&*fs, "a");
    disk.inject_device(DeviceFault::lost_write(0..512).on("b"));
    write_numbered(&*fs, "a2");
    assert_eq!(disk.first_stray_sync(0), None);
    write_numbered(&*fs, "b");
    // Behind the sync of the file comes only that of the directory.
    let sync = disk.op_count() - 2;
    assert_eq!(disk.first_stray_sync(0), Some(sync));
    assert_eq!(disk.first_stray_sync(sync + 1), None);
    assert!(disk.history()[sync as usize].contains("sector 0 was lost"));
}

#[test]
fn syncs_that_went_astray_name_the_files_that_they_hurt() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    write_numbered(&*fs, "victim");
    disk.inject_device(DeviceFault::lost_write(0..512).on("a"));
    disk.inject_device(DeviceFault::misdirected_write(0..1024, "victim", 0).on("b"));
    disk.inject_device(DeviceFault::misdirected_write(0..512, "missing", 0).on("c"));
    ["a", "b", "c", "honest"].into_iter().for_each(|name| write_numbered(&*fs, name));
    let told = disk.stray_syncs(0);
    let first = disk.first_stray_sync(0).unwrap();
    let files: Vec<_> = told.iter().map(|stray| (&*stray.file, stray.landings.len())).collect();
    assert_eq!(files, [("a", 0), ("b", 1), ("c", 0)]);
    assert!(told[1].landings.contains("victim"));
    assert_eq!(told[0].op, first);
    assert_eq!(disk.stray_syncs(first + 1), told[1..]);
}
