//! What the writer asks of its file, and what it does after a failure.

use std::sync::Arc;

use kv_core::Error;
use kv_env::{Failure, Fault, FaultFs, Operation, SimDisk};
use kv_wal::{LogReader, LogWriter, Lsn, MAX_PAYLOAD_BYTES, SegmentPosition, read_header};

use crate::support::{NAME, create, header, read_disk, text};

fn counting() -> (Arc<FaultFs>, LogWriter) {
    let fs = Arc::new(FaultFs::new(SimDisk::new(0).fs()));
    let log = LogWriter::create(&*fs, NAME, header(), 1 << 20).unwrap();
    (fs, log)
}

#[test]
fn a_group_is_one_write() {
    let (fs, mut log) = counting();
    let before = fs.count(Operation::Append);
    for record in 0..300 {
        log.append(&text(record, 120)).unwrap();
    }
    assert_eq!(fs.count(Operation::Append), before);
    log.flush().unwrap();
    assert_eq!(fs.count(Operation::Append), before + 1);
    log.flush().unwrap();
    assert_eq!(fs.count(Operation::Append), before + 1, "nothing to write");
}

#[test]
fn a_sync_with_nothing_new_is_free() {
    let (fs, mut log) = counting();
    let before = fs.count(Operation::Sync);
    log.sync().unwrap();
    assert_eq!(fs.count(Operation::Sync), before);
    log.append(b"a").unwrap();
    log.sync().unwrap();
    log.sync().unwrap();
    assert_eq!(fs.count(Operation::Sync), before + 1);
    assert_eq!(log.synced_position().get(), log.end());
}

#[test]
fn flushed_and_synced_follow_the_end() {
    let (_, mut log) = counting();
    let first = log.append(b"a").unwrap();
    assert_eq!((log.end(), log.flushed()), (first, Lsn::START));
    log.flush().unwrap();
    assert_eq!(log.flushed(), first);
    let synced = log.synced_position();
    log.sync_handle().sync().unwrap();
    synced.advance(first);
    synced.advance(Lsn::START);
    assert_eq!(log.synced_position().get(), first, "it never moves back");
}

#[test]
fn every_failed_call_poisons_the_writer() {
    for operation in [Operation::Append, Operation::Sync] {
        let (fs, mut log) = counting();
        log.append(b"good").unwrap();
        log.sync().unwrap();
        log.append(b"bad").unwrap();
        fs.inject(Fault::new(Failure::NoSpace).of(operation).times(1));
        let error = log.sync().unwrap_err();
        assert!(error.is_out_of_space(), "{error}");
        let synced = log.synced_position().get();
        let calls = (fs.count(Operation::Append), fs.count(Operation::Sync));
        for result in [log.append(b"x").map(|_| ()), log.flush(), log.sync()] {
            assert!(matches!(result, Err(Error::Poisoned { .. })), "{result:?}");
        }
        assert_eq!(log.synced_position().get(), synced);
        assert!(matches!(log.finish(), Err(Error::Poisoned { .. })));
        assert_eq!(
            (fs.count(Operation::Append), fs.count(Operation::Sync)),
            calls,
            "a failed call is never repeated"
        );
    }
}

#[test]
fn what_failed_to_be_created_is_an_error() {
    for operation in [Operation::Create, Operation::Append, Operation::ZeroFill, Operation::Sync] {
        let fs = FaultFs::new(SimDisk::new(0).fs());
        fs.inject(Fault::new(Failure::Device).of(operation));
        assert!(LogWriter::create(&fs, NAME, header(), 8192).is_err(), "{operation:?}");
    }
}

#[test]
fn the_end_mark_is_written_after_everything_is_durable() {
    let (fs, mut log) = counting();
    log.append(b"unsynced").unwrap();
    fs.inject(Fault::new(Failure::Device).of(Operation::Append).after(1).times(1));
    let synced = log.synced_position();
    let end = log.end();
    log.finish().unwrap_err();
    assert_eq!(synced.get(), end, "the sync came before the mark's write, which failed");
}

#[test]
fn a_finished_log_takes_nothing_more() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, 0);
    log.append(b"last").unwrap();
    log.finish().unwrap();
    for result in [log.append(b"late").map(|_| ()), log.flush(), log.sync(), log.finish()] {
        assert!(matches!(result, Err(Error::Poisoned { .. })), "{result:?}");
    }
    assert_eq!(read_disk(&disk, SegmentPosition::Sealed).records, [b"last"]);
}

#[test]
fn a_payload_over_the_limit_has_no_effect() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, 0);
    // Pages of a zeroed allocation that nobody reads cost nothing.
    let error = log.append(&vec![0; MAX_PAYLOAD_BYTES + 1]).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    assert_eq!(log.end(), Lsn::START);
    log.append(b"fits").unwrap();
    log.finish().unwrap();
    assert_eq!(read_disk(&disk, SegmentPosition::Sealed).records, [b"fits"]);
}

#[test]
fn the_header_can_be_read_alone_and_its_kind_counts() {
    let disk = SimDisk::new(0);
    let _log = create(&disk, 0);
    assert_eq!(read_header(&*disk.fs(), NAME, header().kind).unwrap(), header());
    let other = kv_core::FileKind::Manifest;
    for result in [
        read_header(&*disk.fs(), NAME, other).map(|_| ()),
        LogReader::open(&*disk.fs(), NAME, other, SegmentPosition::Last).map(|_| ()),
    ] {
        assert!(matches!(result, Err(Error::Corruption { offset: 0, .. })), "{result:?}");
    }
}

#[test]
fn a_read_error_is_no_end_of_the_log() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, 0);
    log.append(&text(0, 1 << 20)).unwrap();
    log.finish().unwrap();
    let mut reader =
        LogReader::open(&*disk.fs(), NAME, header().kind, SegmentPosition::Last).unwrap();
    disk.inject(Fault::new(Failure::Device).of(Operation::Read).after(2).times(1));
    for _ in 0..2 {
        assert!(matches!(reader.next_record(), Err(Error::Io { .. })));
        assert_eq!(reader.tail(), None);
    }
}

/// What was reserved can be written on a disk that has become full, and a
/// reservation that finds no room leaves the log as it was.
#[test]
fn a_full_disk_shows_when_room_is_reserved_and_not_in_a_record() {
    let disk = SimDisk::new(0);
    let mut log = LogWriter::create(&*disk.fs(), NAME, header(), 64 << 10).unwrap();
    disk.fs().sync_dir().unwrap();
    let mut written = 0;
    for room in [70 << 10, 90 << 10, 200 << 10] {
        disk.set_capacity(Some(room));
        let error = loop {
            if let Err(error) = log.reserve(1, 1000) {
                break error;
            }
            log.append(&text(written, 1000)).unwrap();
            log.sync().unwrap();
            written += 1;
        };
        assert!(error.is_out_of_space(), "{error}");
        assert!(disk.fs().free_space().unwrap() < 64 << 10, "the room was used");
    }
    disk.set_capacity(None);
    log.finish().unwrap();
    let reading = read_disk(&disk, SegmentPosition::Sealed);
    assert!(reading.end.is_ok());
    assert_eq!(reading.records.len(), written);
}

/// Memory that is short for a moment is like a full disk here: nothing of a
/// record was written.
#[test]
fn a_reservation_without_memory_can_be_repeated() {
    let disk = SimDisk::new(0);
    let mut log = LogWriter::create(&*disk.fs(), NAME, header(), 0).unwrap();
    disk.fs().sync_dir().unwrap();
    log.append(&text(0, 5000)).unwrap();
    log.sync().unwrap();
    disk.inject(Fault::new(Failure::OutOfMemory).of(Operation::ZeroFill).times(2));
    for _ in 0..2 {
        assert!(log.reserve(1, 100_000).unwrap_err().is_out_of_resources());
    }
    log.reserve(1, 100_000).unwrap();
    log.append(&text(1, 100_000)).unwrap();
    log.sync().unwrap();
    log.finish().unwrap();
    let reading = read_disk(&disk, SegmentPosition::Sealed);
    assert!(reading.end.is_ok());
    assert_eq!(reading.records.len(), 2);
}

/// The end mark needs room like any record: without it the log stays open.
#[test]
fn a_log_can_be_finished_once_there_is_room_for_its_mark() {
    let disk = SimDisk::new(0);
    let mut log = LogWriter::create(&*disk.fs(), NAME, header(), 0).unwrap();
    disk.fs().sync_dir().unwrap();
    // The mark does not fit into what is left of the first frame.
    log.append(&text(1, 4080 - 20 - 10)).unwrap();
    log.sync().unwrap();
    disk.set_capacity(Some(2 * 4096));
    assert!(log.finish().unwrap_err().is_out_of_space());
    disk.set_capacity(None);
    log.finish().unwrap();
    let reading = read_disk(&disk, SegmentPosition::Sealed);
    assert!(reading.end.is_ok());
    assert_eq!(reading.records.len(), 1);
}

#[test]
fn a_reservation_that_fails_for_another_cause_than_space_poisons() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, 0);
    disk.inject(Fault::new(Failure::Device).times(1));
    assert!(matches!(log.reserve(1, 100_000), Err(Error::Io { .. })));
    assert!(matches!(log.append(b"a record"), Err(Error::Poisoned { .. })));
}

/// A record is as long as its payload and a header, and a reservation asks for
/// no byte more.
#[test]
fn room_for_several_records_is_counted_to_the_byte() {
    let disk = SimDisk::new(0);
    let frame_data = 4096 - 16;
    let mut log = create(&disk, 8192);
    log.reserve(3, frame_data - 3 * 20).unwrap();
    assert_eq!(disk.read_file(NAME).unwrap().len(), 8192, "it fits into the frame");
    log.reserve(3, frame_data - 3 * 20 + 1).unwrap();
    assert_eq!(disk.read_file(NAME).unwrap().len(), 3 * 4096, "a byte more does not");
}

#[test]
fn a_log_grows_by_a_share_of_what_was_prewritten() {
    for (prewritten_bytes, grown) in [
        (0, 2 * 4096),
        (64 << 10, (64 << 10) + 4096),
        (1 << 20, (1 << 20) + (64 << 10)),
        // To a multiple of the share, wherever it began.
        ((1 << 20) + 8192, 17 * ((64 << 10) + 512)),
    ] {
        let disk = SimDisk::new(0);
        let mut log = create(&disk, prewritten_bytes);
        let payload_bytes = (prewritten_bytes / 4096).saturating_sub(1) * 4080;
        log.reserve(1, payload_bytes as usize).unwrap();
        let len = disk.read_file(NAME).unwrap().len();
        assert_eq!(len, grown, "{prewritten_bytes} bytes were prewritten");
    }
}

/// Nothing is said of the writer where the payload alone is reason to refuse.
#[test]
fn the_largest_payload_is_not_too_large() {
    let (fs, mut log) = counting();
    fs.inject(Fault::new(Failure::Device).of(Operation::Append).times(1));
    log.append(b"lost").unwrap();
    log.flush().unwrap_err();
    // Pages of a zeroed allocation that nobody reads cost nothing.
    let zeros = vec![0; MAX_PAYLOAD_BYTES + 1];
    let largest = log.append(&zeros[..MAX_PAYLOAD_BYTES]);
    assert!(matches!(largest, Err(Error::Poisoned { .. })), "{largest:?}");
    assert!(matches!(log.append(&zeros), Err(Error::TooLarge { .. })));
}
