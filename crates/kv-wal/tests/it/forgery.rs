//! Payloads that hold records.

use kv_core::{ChecksumSeed, FileHeader};
use kv_wal::{Lsn, SegmentPosition};

use crate::support::{FIRST_FRAME, header, is_prefix, log_bytes, read, read_last, text};

/// The stream of a log file: its frames without their stamps.
fn stream(file: &[u8]) -> Vec<u8> {
    file[FIRST_FRAME..].chunks(4096).flat_map(|frame| &frame[16..]).copied().collect()
}

/// A record as a forger would make it who knows the seed and its place.
fn forged_record(seed: ChecksumSeed, lsn: u64, synced: u64, payload: &[u8]) -> Vec<u8> {
    let mut checked = (payload.len() as u32).to_le_bytes().to_vec();
    checked.extend(((lsn - synced) as u32).to_le_bytes());
    checked.extend([1, 0, 0, 0]);
    checked.extend(seed.checksum(lsn, payload).to_le_bytes());
    let mut record = seed.checksum(lsn, &checked).to_le_bytes().to_vec();
    record.extend(checked);
    record.extend(payload);
    record
}

#[test]
fn the_forger_knows_the_format() {
    let bytes = log_bytes(0, |mut log| {
        log.append(b"one").unwrap();
        log.sync().unwrap();
        log.append(b"two").unwrap();
        log.flush().unwrap();
    });
    let mut forged = forged_record(header().seed(), 0, 0, b"one");
    forged.extend(forged_record(header().seed(), 23, 23, b"two"));
    assert_eq!(stream(&bytes), forged);
}

#[test]
fn a_copy_of_a_log_as_a_payload_is_a_payload() {
    let inner = log_bytes(0, |mut log| {
        for record in 0..30 {
            log.append(&text(record, 500)).unwrap();
            log.sync().unwrap();
        }
    });
    for payload in [inner.clone(), stream(&inner)] {
        let records = [text(0, 40), payload, text(1, 40)];
        let bytes = log_bytes(0, |mut log| {
            for record in &records {
                log.append(record).unwrap();
            }
            log.flush().unwrap();
        });
        for cut in FIRST_FRAME..bytes.len() {
            if cut % 37 != 0 {
                continue;
            }
            let reading = read_last(&bytes[..cut]);
            assert!(reading.end.is_ok(), "cut at {cut}: {:?}", reading.end);
            assert!(is_prefix(&reading.records, &records), "cut at {cut}");
        }
    }
}

/// Records that would be valid right where they stand, claiming a sync that
/// never was, packed densely into the payload of the record that gets torn.
#[test]
fn forged_records_in_their_place_are_not_found() {
    let seed = header().seed();
    let first = text(0, 100);
    let payload_lsn = 120 + 20;
    let mut payload = Vec::new();
    while payload.len() < 12_000 {
        let lsn = payload_lsn + payload.len() as u64;
        payload.extend(forged_record(seed, lsn, lsn, b"forged"));
    }
    let bytes = log_bytes(1 << 15, |mut log| {
        log.append(&first).unwrap();
        log.sync().unwrap();
        log.append(&payload).unwrap();
        log.flush().unwrap();
    });
    assert_eq!(read_last(&bytes).records, [first.clone(), payload.clone()]);

    // Torn: each sector of the record in turn was never written.
    let start = Lsn(120).file_offset() as usize;
    let end = Lsn(140 + payload.len() as u64).file_offset() as usize;
    for sector in start / 512 + 1..end / 512 {
        let mut torn = bytes.clone();
        torn[sector * 512..(sector + 1) * 512].fill(0);
        let reading = read_last(&torn);
        assert!(reading.is_torn(), "sector {sector}: {:?}", reading.end);
        assert_eq!(reading.records, std::slice::from_ref(&first), "sector {sector}");
    }
    // Rot in the record's own header, so that its length is unknown.
    for byte in start..start + 20 {
        let mut rotten = bytes.clone();
        rotten[byte] ^= 0x10;
        for position in [SegmentPosition::Last, SegmentPosition::Sealed] {
            let reading = read(&rotten, position);
            assert!(reading.is_corruption(), "byte {byte}: {:?}", reading.end);
            assert_eq!(reading.records, std::slice::from_ref(&first), "byte {byte}");
        }
    }
}

/// Frames of one file put into another, or elsewhere in the same.
#[test]
fn frames_in_the_wrong_place_are_damage() {
    let records: Vec<_> = (0..60).map(|index| text(index, 250)).collect();
    let write = |mut log: kv_wal::LogWriter| {
        for record in &records {
            log.append(record).unwrap();
            log.sync().unwrap();
        }
        log.finish().unwrap();
    };
    let bytes = log_bytes(0, write);
    let mut swapped = bytes.clone();
    swapped[FIRST_FRAME..FIRST_FRAME + 8192].rotate_left(4096);
    assert!(read_last(&swapped).is_corruption());

    // The same records in a file that differs in its uid alone.
    let disk = kv_env::SimDisk::new(0);
    let other = FileHeader { file_uid: *b"another such one", ..header() };
    write(kv_wal::LogWriter::create(&*disk.fs(), "other", other, 0).unwrap());
    let other = disk.read_file("other").unwrap();
    for frame in 1..other.len() / 4096 {
        let mut mixed = bytes.clone();
        let range = frame * 4096..(frame + 1) * 4096;
        mixed[range.clone()].copy_from_slice(&other[range]);
        assert!(read_last(&mixed).is_corruption(), "frame {frame}");
    }
}
