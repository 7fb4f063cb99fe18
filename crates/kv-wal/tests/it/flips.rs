//! Rot: every single bit of a log.

use kv_core::Error;
use kv_wal::{LogWriter, SegmentPosition, Tail};

use crate::support::{FIRST_FRAME, Reading, is_prefix, log_bytes, read, text};

const PREWRITTEN_BYTES: u64 = 16 << 10;

/// How many flips had which outcome.
#[derive(Debug, PartialEq, Eq, Default)]
struct Census {
    /// All records came back.
    harmless: usize,
    /// Reported.
    corrupt: usize,
    /// Taken for a tear although the record had been synced.
    undecided: usize,
}

/// Flips every bit of the frames in `bytes` in turn. What comes back must be the records or
/// a report; a prefix of them, but for the undecided flips, only where nothing
/// behind was ever synced: the first `synced_records` are.
fn census(bytes: &[u8], position: SegmentPosition, synced_records: usize) -> Census {
    let truth = read(bytes, position);
    let mut census = Census::default();
    let mut rotten = bytes.to_vec();
    for bit in FIRST_FRAME * 8..bytes.len() * 8 {
        let (byte, mask) = (bit / 8, 1 << (bit % 8));
        rotten[byte] ^= mask;
        let reading = read(&rotten, position);
        rotten[byte] ^= mask;
        let context = || format!("bit {} of byte {byte}: {:?}", bit % 8, reading.end);
        assert!(is_prefix(&reading.records, &truth.records), "a wrong payload, {}", context());
        match outcome(&reading, &truth) {
            Outcome::Harmless => census.harmless += 1,
            Outcome::Corrupt => census.corrupt += 1,
            Outcome::Lost => {
                assert!(reading.is_torn(), "lost in silence, {}", context());
                assert!(reading.records.len() >= synced_records, "a synced record, {}", context());
                census.undecided += 1;
            }
        }
    }
    census
}

enum Outcome {
    Harmless,
    Corrupt,
    Lost,
}

fn outcome(reading: &Reading, truth: &Reading) -> Outcome {
    match &reading.end {
        Err(Error::Corruption { .. }) => Outcome::Corrupt,
        Ok(_) if reading.records == truth.records => Outcome::Harmless,
        Ok(_) => Outcome::Lost,
        Err(error) => panic!("another error: {error}"),
    }
}

/// Synced one by one, but for the last three, which are one group.
fn append(log: &mut LogWriter, records: &[Vec<u8>]) {
    let synced = records.len() - 3;
    for (index, record) in records.iter().enumerate() {
        log.append(record).unwrap();
        if index < synced {
            log.sync().unwrap();
        }
    }
    log.flush().unwrap();
}

fn text_records() -> Vec<Vec<u8>> {
    [300, 0, 2500, 1400, 60, 900, 1].into_iter().enumerate().map(|(i, len)| text(i, len)).collect()
}

#[test]
fn of_a_prewritten_log() {
    let records = text_records();
    let bytes = log_bytes(PREWRITTEN_BYTES, |mut log| append(&mut log, &records));
    assert_eq!(bytes.len() as u64, PREWRITTEN_BYTES);
    // Nothing is undecided although the last three records were never synced:
    // none of them has zeros where a tear would leave them.
    let census = census(&bytes, SegmentPosition::Last, 4);
    assert_eq!(census.undecided, 0, "{census:?}");
}

#[test]
fn of_a_log_that_was_not_prewritten() {
    let records = text_records();
    let bytes = log_bytes(0, |mut log| append(&mut log, &records));
    // The three records after the last sync, every bit of them: what is not
    // known to have been zero may be missing.
    let bits = (3 * 20 + 60 + 900 + 1) * 8;
    let census = census(&bytes, SegmentPosition::Last, 4);
    assert_eq!(census.undecided, bits, "{census:?}");
}

#[test]
fn of_records_that_look_torn() {
    // The last record holds zeros where a tear would leave them: rot in its
    // payload is undecided, rot in its header is not.
    let records = [text(0, 100), text(1, 100), text(2, 100), text(3, 9), vec![0; 150]];
    let bytes = log_bytes(PREWRITTEN_BYTES, |mut log| append(&mut log, &records));
    let census = census(&bytes, SegmentPosition::Last, 2);
    assert_eq!(census.undecided, 150 * 8, "{census:?}");
}

#[test]
fn of_a_log_with_its_end_mark() {
    for prewritten_bytes in [0, PREWRITTEN_BYTES] {
        let records = [text(0, 100), vec![0; 5000], text(1, 100)];
        let bytes = log_bytes(prewritten_bytes, |mut log| {
            append(&mut log, &records);
            log.finish().unwrap();
        });
        for position in [SegmentPosition::Last, SegmentPosition::Sealed] {
            let census = census(&bytes, position, records.len());
            assert_eq!(census.undecided, 0, "{position:?}: {census:?}");
        }
    }
}

#[test]
fn of_a_sealed_segment_without_end_mark() {
    let records = [text(0, 100), vec![0; 500], text(1, 100)];
    let bytes = log_bytes(PREWRITTEN_BYTES, |mut log| append(&mut log, &records));
    let census = census(&bytes, SegmentPosition::Sealed, records.len());
    assert_eq!(census.undecided, 0, "{census:?}");
}

/// Whole sectors that a device lost although it had reported them written. In
/// the last frame the way to the records behind is lost with them.
#[test]
fn a_lost_sector_before_the_last_frame_is_corruption() {
    let records: Vec<_> = (0..40).map(|index| text(index, 250)).collect();
    let bytes = log_bytes(PREWRITTEN_BYTES, |mut log| {
        for record in &records {
            log.append(record).unwrap();
            log.sync().unwrap();
        }
    });
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    let last_frame = end / 4096 * 4096;
    for sector in FIRST_FRAME / 512..=end / 512 {
        let mut rotten = bytes.clone();
        rotten[sector * 512..(sector + 1) * 512].fill(0);
        let reading = read(&rotten, SegmentPosition::Last);
        assert!(is_prefix(&reading.records, &records));
        let is_undecided = sector * 512 >= last_frame;
        assert_eq!(reading.is_corruption(), !is_undecided, "sector {sector}: {:?}", reading.end);
        assert_eq!(reading.end.is_ok(), is_undecided, "sector {sector}: {:?}", reading.end);
    }
}

#[test]
fn damage_before_the_end_mark_is_corruption() {
    let records: Vec<_> = (0..20).map(|index| text(index, 400)).collect();
    let bytes = log_bytes(PREWRITTEN_BYTES, |mut log| {
        for record in &records {
            log.append(record).unwrap();
        }
        log.finish().unwrap();
    });
    let mark = bytes.len() - 20;
    for sector in FIRST_FRAME / 512..=mark / 512 {
        let end = ((sector + 1) * 512).min(mark);
        for fill in [0, 0xff] {
            let mut rotten = bytes.clone();
            rotten[sector * 512..end].fill(fill);
            let reading = read(&rotten, SegmentPosition::Last);
            assert!(reading.is_corruption(), "sector {sector}, {fill}: {:?}", reading.end);
        }
    }
    let mut behind = bytes.clone();
    behind.extend([0, 0, 1]);
    assert!(read(&behind, SegmentPosition::Last).is_corruption());
}

#[test]
fn of_a_header() {
    let bytes = log_bytes(0, |mut log| log.finish().unwrap());
    for bit in 0..96 * 8 {
        let mut rotten = bytes.clone();
        rotten[bit / 8] ^= 1 << (bit % 8);
        let end = read(&rotten, SegmentPosition::Last).end;
        assert!(matches!(end, Err(Error::Corruption { offset: 0, .. })), "bit {bit}: {end:?}");
    }
}

#[test]
fn a_damaged_stamp_is_counted() {
    let records = [text(0, 9000)];
    let mut bytes = log_bytes(0, |mut log| {
        log.append(&records[0]).unwrap();
        log.finish().unwrap();
    });
    bytes[FIRST_FRAME + 4096 + 9] ^= 1;
    bytes[FIRST_FRAME + 8192] ^= 1;
    let reading = read(&bytes, SegmentPosition::Last);
    assert!(matches!(reading.end, Ok(Tail::EndMark)));
    assert_eq!((reading.records, reading.damaged_stamps), (records.to_vec(), 2));
}

/// A payload of zeros is whole even where it was not written, and a stamp that
/// was not written there is no damage.
#[test]
fn a_missing_stamp_is_not_counted() {
    let records = [[vec![0; 9000], vec![1]].concat()];
    let mut bytes = log_bytes(PREWRITTEN_BYTES, |mut log| append_group(&mut log, &records));
    bytes[FIRST_FRAME + 4096..FIRST_FRAME + 4096 + 512].fill(0);
    let reading = read(&bytes, SegmentPosition::Last);
    assert!(matches!(reading.end, Ok(Tail::Clean)));
    assert_eq!((reading.records, reading.damaged_stamps), (records.to_vec(), 0));
}

fn append_group(log: &mut LogWriter, records: &[Vec<u8>]) {
    for record in records {
        log.append(record).unwrap();
    }
    log.flush().unwrap();
}
