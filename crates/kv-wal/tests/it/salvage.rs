//! Reading past damage: every record that is intact comes back, all else is a
//! gap that says where it is.

use kv_core::FileHeader;
use kv_env::SimDisk;
use kv_wal::{LogGap, Lsn, SalvageReader, Salvaged, Tail};

use crate::support::{FIRST_FRAME, NAME, header, log_bytes, read_last, text};

const RECORD_HEADER_BYTES: u64 = 20;

/// What was found in a log.
#[derive(Debug, PartialEq)]
struct Found {
    records: Vec<Vec<u8>>,
    gaps: Vec<LogGap>,
    is_finished: bool,
    is_short: bool,
}

/// Lengths of the records: some share a frame, one fills more than a chunk of
/// the reader, one is empty.
const LENS: [usize; 7] = [100, 3000, 0, 5000, 300_000, 33, 700];

fn records() -> Vec<Vec<u8>> {
    LENS.iter().enumerate().map(|(number, &len)| text(number, len)).collect()
}

/// A log of all [`records`] that was not closed.
fn open_log() -> Vec<u8> {
    log_bytes(1 << 19, |mut log| {
        for record in records() {
            log.append(&record).unwrap();
        }
        log.sync().unwrap();
    })
}

fn finished_log() -> Vec<u8> {
    log_bytes(1 << 19, |mut log| {
        for record in records() {
            log.append(&record).unwrap();
        }
        log.finish().unwrap();
    })
}

/// Where the record of this number starts in the stream.
fn start(number: usize) -> Lsn {
    Lsn(LENS[..number].iter().map(|&len| RECORD_HEADER_BYTES + len as u64).sum())
}

/// Where the record of this number starts in the file.
fn place(number: usize) -> u64 {
    start(number).file_offset()
}

/// Index in the file of a byte of the record of this number.
fn byte_of(number: usize, offset: u64) -> usize {
    Lsn(start(number).0 + offset).file_offset() as usize
}

fn salvage_as(bytes: &[u8], header: FileHeader) -> Found {
    let disk = SimDisk::new(0);
    disk.write_file(NAME, bytes);
    let file = disk.fs().open(NAME).unwrap();
    let mut reader = SalvageReader::new(file, NAME, header).unwrap();
    let (mut records, mut gaps) = (Vec::new(), Vec::new());
    while let Some(part) = reader.next_part().unwrap() {
        match part {
            Salvaged::Record(record) => records.push(record.payload.to_vec()),
            Salvaged::Gap(gap) => gaps.push(gap),
        }
    }
    assert_eq!(reader.next_part().unwrap(), None, "the end stays the end");
    assert!(format!("{reader:?}").contains(NAME));
    let (is_finished, is_short) = (reader.is_finished(), reader.is_short());
    Found { records, gaps, is_finished, is_short }
}

fn salvage(bytes: &[u8]) -> Found {
    salvage_as(bytes, header())
}

#[test]
fn an_intact_log_has_no_gaps() {
    let whole = Found { records: records(), gaps: vec![], is_finished: false, is_short: false };
    assert_eq!(salvage(&open_log()), whole);
    // Its zeros are cut off when it is finished.
    let finished = Found { is_finished: true, is_short: true, ..whole };
    assert_eq!(salvage(&finished_log()), finished);
    let empty = Found { records: vec![], gaps: vec![], is_finished: false, is_short: false };
    assert_eq!(salvage(&log_bytes(1 << 15, drop)), empty);
}

#[test]
fn a_damaged_record_is_a_gap_and_all_others_come_back() {
    let log = finished_log();
    for number in 0..LENS.len() {
        let header_bytes = (0..RECORD_HEADER_BYTES).map(|offset| (offset, "header"));
        let len = LENS[number] as u64;
        let payload = [0, len / 2, len.saturating_sub(1)].map(|at| RECORD_HEADER_BYTES + at);
        let payload = payload.into_iter().filter(|_| len > 0).map(|offset| (offset, "payload"));
        for (offset, part) in header_bytes.chain(payload) {
            let mut damaged = log.clone();
            damaged[byte_of(number, offset)] ^= 0x10;
            let found = salvage(&damaged);
            let mut expected = records();
            expected.remove(number);
            assert!(found.records == expected, "record {number}, byte {offset}");
            let [gap] = &found.gaps[..] else { panic!("{number}, {offset}: {:?}", found.gaps) };
            let end = gap.file_offset + gap.bytes;
            let expected = (start(number).file_end(), place(number + 1));
            assert_eq!((gap.file_offset, end), expected, "{offset}");
            assert!(gap.what.contains(part) && gap.what.contains("fails"), "{offset}: {gap:?}");
            assert!(found.is_finished, "the end mark is read as well");
        }
    }
}

/// A gap starts where a reader would cut the file if it took it for a tear,
/// whether or not anything intact stands behind it.
#[test]
fn a_gap_at_the_start_of_a_frame_holds_its_stamp() {
    let frame = 4096 - 16;
    let lens = [frame - 20, 100, frame - 2 * 20 - 100, 600, 60];
    let log = log_bytes(1 << 15, |mut log| {
        for (number, &len) in lens.iter().enumerate() {
            log.append(&text(number, len)).unwrap();
        }
        log.sync().unwrap();
    });
    for (number, begins_frame) in [(0, 0), (1, 1), (3, 2)] {
        let lsn = Lsn(lens[..number].iter().map(|&len| 20 + len as u64).sum());
        assert_eq!(lsn.file_end(), (FIRST_FRAME + 4096 * begins_frame) as u64);
        let mut damaged = log.clone();
        damaged[lsn.file_offset() as usize + 25] ^= 1;
        let found = salvage(&damaged);
        assert_eq!(found.records.len(), lens.len() - 1, "{number}");
        let [gap] = &found.gaps[..] else { panic!("{number}: {:?}", found.gaps) };
        let next = Lsn(lsn.0 + 20 + lens[number] as u64);
        let expected = (lsn.file_end(), next.file_offset());
        assert_eq!((gap.file_offset, gap.file_offset + gap.bytes), expected, "{number}");
        let torn = read_last(&torn_at(&log, lsn));
        assert!(
            matches!(torn.end, Ok(Tail::Torn { file_offset, .. }) if file_offset == expected.0)
        );
    }
}

/// The log with zeros in place of the first sector of a record, none of which
/// and of what follows was synced.
fn torn_at(log: &[u8], lsn: Lsn) -> Vec<u8> {
    let mut torn = log.to_vec();
    torn[lsn.file_end() as usize..][..512].fill(0);
    torn
}

#[test]
fn wiped_frames_cost_the_records_that_touch_them() {
    let log = finished_log();
    for frame in 0..4 {
        let wiped = FIRST_FRAME + 4096 * frame..FIRST_FRAME + 4096 * (frame + 1);
        let mut damaged = log.clone();
        damaged[wiped.clone()].fill(0);
        let found = salvage(&damaged);
        let is_hit = |number: usize| {
            place(number) < wiped.end as u64 && wiped.start < byte_of(number + 1, 0)
        };
        let expected: Vec<_> = records()
            .into_iter()
            .enumerate()
            .filter(|(number, _)| !is_hit(*number))
            .map(|(_, record)| record)
            .collect();
        assert!(found.records == expected, "frame {frame}: {:?}", found.gaps);
        assert!(!found.gaps.is_empty() && found.is_finished, "frame {frame}");
    }
}

#[test]
fn a_damaged_end_is_a_gap_up_to_the_last_byte_that_was_written() {
    let mut damaged = open_log();
    let used = damaged.iter().rposition(|&byte| byte != 0).unwrap() as u64;
    let last = LENS.len() - 1;
    damaged[byte_of(last, RECORD_HEADER_BYTES)] ^= 1;
    let found = salvage(&damaged);
    assert!(found.records == records()[..last]);
    let [gap] = &found.gaps[..] else { panic!("{:?}", found.gaps) };
    let from = start(last).file_end();
    assert_eq!((gap.file_offset, gap.bytes), (from, used + 1 - from));
}

#[test]
fn a_cut_log_keeps_the_records_before_the_cut() {
    let log = open_log();
    let inside_header = byte_of(3, 10);
    let inside_payload = byte_of(4, 1000);
    for (len, kept, what) in [
        (place(2) as usize, 2, None),
        (inside_header, 3, Some("the file ends inside the header of a log record")),
        (inside_payload, 4, Some("the file ends inside a log record")),
    ] {
        let found = salvage(&log[..len]);
        assert!(found.records == records()[..kept], "cut to {len}");
        assert_eq!(found.gaps.first().map(|gap| gap.what), what, "cut to {len}");
        assert!(found.is_short && !found.is_finished);
    }
    let header_only = salvage(&log[..FIRST_FRAME]);
    assert_eq!((header_only.records.len(), header_only.gaps.len()), (0, 0));
    assert_eq!(salvage(&[]).records.len(), 0);
}

/// Nobody writes there: it is reported, and nothing before it is lost.
#[test]
fn what_stands_where_zeros_should_be_is_a_gap() {
    let mut log = finished_log();
    log.extend([0, 0, 7, 0]);
    let found = salvage(&log);
    let gap = LogGap {
        file_offset: log.len() as u64 - 4,
        bytes: 3,
        what: "there is something behind the end mark of the log",
    };
    assert_eq!((found.gaps, found.is_finished), (vec![gap], true));
    assert!(found.records == records());

    let mut log = open_log();
    log[200] = 1;
    log[4095] = 1;
    let found = salvage(&log);
    let [gap] = &found.gaps[..] else { panic!("{:?}", found.gaps) };
    assert_eq!((gap.file_offset, gap.bytes), (200, 4096 - 200));
    assert!(gap.what.starts_with("there is something behind the header"), "{gap:?}");
    assert!(found.records == records());
}

/// Its checksum holds, so where the next record starts is known.
#[test]
fn a_record_of_a_later_version_is_a_gap() {
    let mut log = open_log();
    let seed = header().seed();
    let at = byte_of(1, 0);
    log[at + 12] = 9;
    let checksum = seed.checksum(start(1).0, &log[at + 4..at + 20]);
    log[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
    let found = salvage(&log);
    let mut expected = records();
    expected.remove(1);
    assert!(found.records == expected);
    let [gap] = &found.gaps[..] else { panic!("{:?}", found.gaps) };
    assert_eq!((gap.file_offset, gap.bytes), (place(1), place(2) - place(1)));
    assert_eq!(gap.what, "the log record is of a later version");
}

/// What another file left behind proves nothing here.
#[test]
fn records_of_another_file_are_not_believed() {
    let log = finished_log();
    let other = FileHeader { file_uid: *b"another  random.", ..header() };
    let found = salvage_as(&log, other);
    assert_eq!(found.records.len(), 0);
    let [gap] = &found.gaps[..] else { panic!("{:?}", found.gaps) };
    assert_eq!(gap.file_offset + gap.bytes, log.len() as u64);
}

/// A destroyed header costs nothing to who knows what it said.
#[test]
fn a_log_without_its_header_is_read_by_the_header_it_had() {
    let mut log = finished_log();
    log[..96].fill(0x55);
    let found = salvage(&log);
    assert!(found.records == records() && found.gaps.is_empty() && found.is_finished);
}
