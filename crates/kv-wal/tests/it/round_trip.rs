//! What was appended comes back, whatever its size and however it was flushed.

use kv_core::FileKind;
use kv_env::{FaultFs, Operation, SimDisk};
use kv_wal::{LogReader, Lsn, SegmentPosition, Tail};
use proptest::prelude::*;

use crate::support::{NAME, create, header, read, read_disk, text};

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<u8>),
    Flush,
    Sync,
}

fn step() -> impl Strategy<Value = Step> {
    // Sizes around the frame's data size less a record header, and above it.
    let len = prop_oneof![
        4 => 0usize..200,
        2 => 4020usize..4120,
        1 => 8100usize..8200,
        1 => Just(100 << 10),
    ];
    let payload = (len, any::<u8>()).prop_map(|(len, byte)| {
        (0..len).map(|index| byte.wrapping_mul(index as u8 | 1).wrapping_add(byte)).collect()
    });
    prop_oneof![6 => payload.prop_map(Step::Append), 1 => Just(Step::Flush), 1 => Just(Step::Sync)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 200 }, ..ProptestConfig::default() })]

    #[test]
    fn records_come_back(
        steps in proptest::collection::vec(step(), 0..30),
        prewritten in prop_oneof![Just(0u64), Just(5000), Just(64 << 10), Just(1 << 20)],
        finishes in any::<bool>(),
    ) {
        let disk = SimDisk::new(0);
        let mut log = create(&disk, prewritten);
        let mut expected = Vec::new();
        let mut ends = vec![Lsn::START];
        for step in &steps {
            match step {
                Step::Append(payload) => {
                    ends.push(log.append(payload)?);
                    expected.push(payload.clone());
                }
                Step::Flush => log.flush()?,
                Step::Sync => log.sync()?,
            }
        }
        let file_bytes = log.file_bytes();
        if finishes {
            log.finish()?;
        } else {
            log.flush()?;
        }

        for position in [SegmentPosition::Last, SegmentPosition::Sealed] {
            let mut reader = LogReader::open(&*disk.fs(), NAME, header().kind, position)?;
            prop_assert_eq!(reader.header(), header());
            for (payload, ends) in expected.iter().zip(ends.windows(2)) {
                let record = reader.next_record()?.expect("the record is there");
                prop_assert_eq!(record.payload, &payload[..]);
                prop_assert_eq!(record.lsn, ends[0]);
                prop_assert_eq!(record.file_offset, ends[0].file_offset());
                prop_assert_eq!(record.file_end(), ends[1].file_end());
                prop_assert_eq!(reader.end(), ends[1]);
            }
            if !finishes {
                prop_assert_eq!(reader.good_file_bytes(), file_bytes);
            }
            prop_assert_eq!(reader.next_record()?, None);
            let tail = if finishes { Tail::EndMark } else { Tail::Clean };
            prop_assert_eq!(reader.tail(), Some(tail));
            prop_assert_eq!(reader.damaged_stamps(), 0);
        }
    }
}

#[test]
fn every_size_around_a_frame_boundary() {
    let sizes: Vec<usize> = [0, 1, 100 << 10].into_iter().chain(4040..=4100).collect();
    for &first in &sizes {
        let disk = SimDisk::new(0);
        let mut log = create(&disk, 0);
        let payloads = [text(0, first), text(1, 4060), vec![], text(2, 1)];
        payloads.iter().for_each(|payload| {
            log.append(payload).unwrap();
        });
        log.flush().unwrap();
        assert_eq!(disk.read_file(NAME).unwrap().len() as u64, log.file_bytes(), "{first}");
        let reading = read_disk(&disk, SegmentPosition::Last);
        assert_eq!(reading.records, payloads, "{first}");
        assert!(matches!(reading.end, Ok(Tail::Clean)), "{first}: {:?}", reading.end);
    }
}

#[test]
fn a_record_much_larger_than_the_group_buffer() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, 0);
    let payloads = [text(0, 77), text(1, 5 << 20), text(2, 77)];
    for payload in &payloads {
        log.append(payload).unwrap();
    }
    log.finish().unwrap();
    let reading = read_disk(&disk, SegmentPosition::Sealed);
    assert!(matches!(reading.end, Ok(Tail::EndMark)));
    assert_eq!(reading.records, payloads);
}

#[test]
fn an_empty_log_and_one_with_just_its_end_mark() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, 9999);
    let empty = disk.read_file(NAME).unwrap();
    assert_eq!(empty.len(), 9999);
    assert_eq!((log.end(), log.file_bytes()), (Lsn::START, 4096));
    log.finish().unwrap();
    let ended = disk.read_file(NAME).unwrap();
    assert_eq!(ended.len(), 4096 + 16 + 20);
    for position in [SegmentPosition::Last, SegmentPosition::Sealed] {
        assert!(matches!(read(&empty, position).end, Ok(Tail::Clean)));
        assert!(matches!(read(&ended, position).end, Ok(Tail::EndMark)));
    }
}

#[test]
fn reader_and_writer_say_where_they_are() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, 0);
    let end = log.append(b"a record").unwrap();
    log.flush().unwrap();
    assert_eq!(end.to_string(), "28");
    let shown = format!("{log:?}");
    assert!(shown.contains("end: Lsn(28), flushed: Lsn(28), synced: Lsn(0)"), "{shown}");
    let position = SegmentPosition::Last;
    let mut reader = LogReader::open(&*disk.fs(), NAME, FileKind::Wal, position).unwrap();
    while reader.next_record().unwrap().is_some() {}
    let shown = format!("{reader:?}");
    assert!(shown.contains("file: \"wal.log\", end: Lsn(28), tail: Some(Clean)"), "{shown}");
}

/// Records come out of a chunk that is in memory already.
#[test]
fn no_part_of_a_file_is_read_twice() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, 0);
    for record in 0..6000 {
        log.append(&text(record, 80)).unwrap();
    }
    log.finish().unwrap();
    let chunks = (disk.read_file(NAME).unwrap().len() - 4096).div_ceil(256 << 10) as u64;
    assert!(chunks > 1, "{chunks}");
    let fs = FaultFs::new(disk.fs());
    let position = SegmentPosition::Last;
    let mut reader = LogReader::open(&fs, NAME, FileKind::Wal, position).unwrap();
    while reader.next_record().unwrap().is_some() {}
    assert_eq!(fs.count(Operation::Read), 1 + chunks, "the header and each chunk");
}
