//! A power cut at every op of a log's life, on the simulated disk.

use kv_core::Error;
use kv_env::{SimDisk, SimOptions};
use kv_wal::{LogWriter, SegmentPosition, Tail};

use crate::support::{NAME, header, is_prefix, read_disk, text};

/// What was promised when the disk had done so many ops.
struct Promise {
    op: u64,
    synced_records: usize,
}

fn live(disk: &SimDisk, prewritten_bytes: u64) -> (Vec<Promise>, Vec<Vec<u8>>) {
    let mut log = LogWriter::create(&*disk.fs(), NAME, header(), prewritten_bytes).unwrap();
    disk.fs().sync_dir().unwrap();
    let mut promises = vec![Promise { op: disk.op_count(), synced_records: 0 }];
    let mut records = Vec::new();
    for (index, len) in [200, 0, 1500, 2600, 90, 700, 900].into_iter().enumerate() {
        records.push(text(index, len));
        log.append(&records[index]).unwrap();
        match index % 3 {
            0 => log.flush().unwrap(),
            1 => {}
            _ => {
                log.sync().unwrap();
                promises.push(Promise { op: disk.op_count(), synced_records: records.len() });
            }
        }
    }
    log.finish().unwrap();
    promises.push(Promise { op: disk.op_count(), synced_records: records.len() });
    (promises, records)
}

fn check_every_crash(disk: &SimDisk, prewritten_bytes: u64) {
    let (promises, records) = live(disk, prewritten_bytes);
    let created_at = promises[0].op;
    for op in 0..=disk.op_count() {
        let promised = promises.iter().rfind(|promise| promise.op <= op);
        for (choice, image) in disk.images(op) {
            let context = format!("op {op}, {choice:?}, {:?}", disk.history());
            if image.read_file(NAME).is_none() {
                assert!(op < created_at, "the file is gone: {context}");
                continue;
            }
            let reading = read_disk(&image, SegmentPosition::Last);
            if op < created_at && matches!(reading.end, Err(Error::Corruption { offset: 0, .. })) {
                continue;
            }
            assert!(reading.end.is_ok(), "{:?}: {context}", reading.end);
            let synced = promised.map_or(0, |promise| promise.synced_records);
            assert!(reading.records.len() >= synced, "a synced record is gone: {context}");
            assert!(is_prefix(&reading.records, &records), "not a prefix: {context}");

            // Cut as recovery does, and the log is sound.
            if !matches!(reading.end, Ok(Tail::EndMark)) {
                image.fs().truncate(NAME, reading.good_file_bytes).unwrap();
            }
            let again = read_disk(&image, SegmentPosition::Sealed);
            assert!(again.end.is_ok() && again.records == reading.records, "{context}");
        }
    }
    let reading = read_disk(disk, SegmentPosition::Sealed);
    assert!(matches!(reading.end, Ok(Tail::EndMark)));
}

#[test]
fn of_a_prewritten_log() {
    check_every_crash(&SimDisk::new(1), 32 << 10);
}

#[test]
fn of_a_log_that_outgrows_its_prewritten_part() {
    check_every_crash(&SimDisk::new(2), 4096 + 2000);
}

#[test]
fn of_a_log_that_was_not_prewritten() {
    check_every_crash(&SimDisk::new(3), 0);
}

#[test]
fn where_lost_sectors_hold_bytes_of_old_files() {
    for prewritten_bytes in [0, 4096 + 2000] {
        let options = SimOptions { stale_bytes: true, ..SimOptions::default() };
        let disk = SimDisk::with_options(4, options);
        // Bytes that look like text, and a log of an earlier life.
        let mut old = LogWriter::create(&*disk.fs(), "old", header(), 0).unwrap();
        old.append(&text(9, 9000)).unwrap();
        old.finish().unwrap();
        disk.fs().remove("old").unwrap();
        disk.fs().sync_dir().unwrap();
        check_every_crash(&disk, prewritten_bytes);
    }
}

#[test]
fn a_failed_sync_leaves_a_prefix() {
    use kv_env::{Failure, Fault, Operation};
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let mut log = LogWriter::create(&*disk.fs(), NAME, header(), 32 << 10).unwrap();
        disk.fs().sync_dir().unwrap();
        let records: Vec<_> = (0..6).map(|index| text(index, 700 * index)).collect();
        log.append(&records[0]).unwrap();
        log.append(&records[1]).unwrap();
        log.sync().unwrap();
        records[2..].iter().for_each(|record| {
            log.append(record).unwrap();
        });
        disk.inject(Fault::new(Failure::Device).of(Operation::Sync).times(1));
        log.sync().unwrap_err();
        drop(log);
        let reading = read_disk(&disk, SegmentPosition::Last);
        assert!(reading.end.is_ok(), "seed {seed}: {:?}", reading.end);
        assert!(reading.records.len() >= 2, "seed {seed}");
        assert!(is_prefix(&reading.records, &records), "seed {seed}");
        // The reader asked the device: a second look, after a power cut, is the same.
        for (choice, image) in disk.images(disk.op_count()) {
            let again = read_disk(&image, SegmentPosition::Last);
            assert_eq!(again.records, reading.records, "seed {seed}, {choice:?}");
        }
    }
}
