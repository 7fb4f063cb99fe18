//! A file that is shorter than it was made: a log that was finished, a log
//! that something has cut, or one whose end mark is all that is missing.

use kv_env::SimDisk;
use kv_wal::{LogReader, Lsn, SegmentPosition};

use crate::support::{NAME, header, log_bytes, text};

const RECORD_HEADER_BYTES: u64 = 20;

/// Where the record behind the first two starts.
const THIRD: Lsn = Lsn(2 * (RECORD_HEADER_BYTES + 300));

/// A log of three records.
fn log(prewritten_bytes: u64, finishes: bool) -> Vec<u8> {
    log_bytes(prewritten_bytes, |mut log| {
        for record in 0..3 {
            log.append(&text(record, 300)).unwrap();
        }
        log.sync().unwrap();
        if finishes {
            log.finish().unwrap();
        }
    })
}

fn is_cut_short(bytes: &[u8]) -> bool {
    let disk = SimDisk::new(0);
    disk.write_file(NAME, bytes);
    let position = SegmentPosition::Last;
    let mut reader = LogReader::open(&*disk.fs(), NAME, header().kind, position).unwrap();
    while reader.next_record().unwrap().is_some() {}
    reader.is_cut_short()
}

/// The first `len` bytes, with zeros from `zeros` on.
fn cut(bytes: &[u8], zeros: u64, len: u64) -> Vec<u8> {
    let mut cut = bytes[..len as usize].to_vec();
    cut[zeros as usize..].fill(0);
    cut
}

#[test]
fn a_log_that_is_as_long_as_it_was_made_or_ends_with_its_mark_was_not_cut() {
    assert!(!is_cut_short(&log(16 << 10, false)));
    assert!(!is_cut_short(&log(16 << 10, true)));
    // One that outgrew what was prewritten may end wherever a crash has it end.
    for prewritten_bytes in [0, 4096 + 200] {
        let grown = log(prewritten_bytes, false);
        for len in prewritten_bytes.max(4096)..=grown.len() as u64 {
            assert!(!is_cut_short(&cut(&grown, len, len)), "{len} bytes");
        }
    }
}

#[test]
fn a_prewritten_log_that_ends_early_was_cut() {
    let whole = log(16 << 10, false);
    let end = THIRD.file_end();
    for len in 4096..whole.len() as u64 {
        assert_eq!(is_cut_short(&cut(&whole, end.min(len), len)), len != end + 20, "{len} bytes");
    }
    // Twenty bytes that are the header of a record are no mark, whole or torn.
    assert!(is_cut_short(&cut(&whole, end + 20, end + 20)));
    assert!(!is_cut_short(&cut(&whole, end + 11, end + 20)));
}
