//! A log that ends anywhere.

use kv_wal::{SegmentPosition, Tail};

use crate::support::{FIRST_FRAME, is_prefix, log_bytes, read, read_last, text};

/// Records over three frames: all before the third are synced. One ends where
/// a frame ends, one is empty, one is nothing but zeros.
fn records() -> Vec<Vec<u8>> {
    vec![
        text(0, 100),
        text(1, 4080 - 20 - 120),
        vec![],
        text(2, 700),
        vec![0; 600],
        text(3, 5000),
        text(4, 33),
    ]
}

fn log(prewritten_bytes: u64) -> Vec<u8> {
    let mut bytes = log_bytes(prewritten_bytes, |mut log| {
        for (index, record) in records().iter().enumerate() {
            log.append(record).unwrap();
            if index < 2 {
                log.sync().unwrap();
            }
        }
        log.flush().unwrap();
    });
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    bytes.truncate(end + 1);
    bytes
}

/// The lengths of the file at which a record ends.
fn record_ends() -> Vec<u64> {
    let mut end = 0;
    let lens = records().into_iter().map(|record| 20 + record.len() as u64);
    std::iter::once(0)
        .chain(lens)
        .map(|len| {
            end += len;
            kv_wal::Lsn(end).file_end()
        })
        .collect()
}

#[test]
fn the_last_segment_cut_anywhere_recovers_a_prefix() {
    let whole = log(1 << 15);
    let ends = record_ends();
    for cut in FIRST_FRAME..=whole.len() {
        let mut zero_filled = whole[..cut].to_vec();
        zero_filled.resize(1 << 15, 0);
        // Of a record that ends in zeros the end need not have been written.
        let complete = |bytes: &[u8]| {
            let reading = read_last(bytes);
            assert!(reading.end.is_ok(), "cut at {cut}: {:?}", reading.end);
            assert!(is_prefix(&reading.records, &records()), "cut at {cut}");
            assert_eq!(reading.good_file_bytes, ends[reading.records.len()], "cut at {cut}");
            assert_eq!(reading.damaged_stamps, 0, "cut at {cut}");
            reading
        };
        let short = complete(&whole[..cut]);
        let expected = ends.iter().filter(|&&end| end <= cut as u64).count() - 1;
        assert_eq!(short.records.len(), expected, "cut at {cut}");
        let filled = complete(&zero_filled);
        assert!(filled.records.len() >= expected, "cut at {cut}");

        // What is left is a whole log once the torn part is cut off.
        let mended = read(&whole[..short.good_file_bytes as usize], SegmentPosition::Sealed);
        assert!(matches!(mended.end, Ok(Tail::Clean)), "cut at {cut}: {:?}", mended.end);
        assert_eq!(mended.records, short.records, "cut at {cut}");
    }
}

#[test]
fn a_torn_tail_says_what_is_discarded() {
    let whole = log(1 << 15);
    let ends = record_ends();
    let cut = ends[5] + 1000;
    let reading = read_last(&whole[..cut as usize]);
    let expected = Tail::Torn { file_offset: ends[5], discarded_bytes: 1000 };
    assert_eq!(reading.end.unwrap(), expected);
}

#[test]
fn a_sealed_segment_cut_inside_a_record_is_corrupt() {
    let whole = log(1 << 15);
    let ends = record_ends();
    for cut in FIRST_FRAME..=whole.len() {
        let reading = read(&whole[..cut], SegmentPosition::Sealed);
        assert!(is_prefix(&reading.records, &records()), "cut at {cut}");
        // A stamp alone may be zeros if nothing else was written of its frame.
        if ends.contains(&(cut as u64)) {
            assert!(matches!(reading.end, Ok(Tail::Clean)), "cut at {cut}: {:?}", reading.end);
        } else {
            assert!(reading.is_corruption(), "cut at {cut}: {:?}", reading.end);
        }
    }
}

#[test]
fn a_header_cut_anywhere_is_corrupt() {
    let whole = log(0);
    for cut in 0..FIRST_FRAME {
        assert!(read_last(&whole[..cut]).is_corruption(), "cut at {cut}");
    }
}
