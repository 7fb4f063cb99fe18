//! Logs as bytes: writing, reading back, and what came of it.

use kv_core::{DatabaseId, Error, FileHeader, FileKind, Result};
use kv_env::SimDisk;
use kv_wal::{LogReader, LogWriter, SegmentPosition, Tail};

pub(crate) const NAME: &str = "wal.log";

/// File offset of the first frame.
pub(crate) const FIRST_FRAME: usize = 4096;

pub(crate) fn header() -> FileHeader {
    FileHeader {
        kind: FileKind::Wal,
        database_id: DatabaseId(*b"a test database."),
        file_id: 7,
        file_uid: *b"one random file.",
    }
}

pub(crate) fn create(disk: &SimDisk, prewritten_bytes: u64) -> LogWriter {
    LogWriter::create(&*disk.fs(), NAME, header(), prewritten_bytes).unwrap()
}

/// The bytes of the log that `write` writes.
pub(crate) fn log_bytes(prewritten_bytes: u64, write: impl FnOnce(LogWriter)) -> Vec<u8> {
    let disk = SimDisk::new(0);
    write(create(&disk, prewritten_bytes));
    disk.read_file(NAME).unwrap()
}

/// What a reader makes of a log.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) records: Vec<Vec<u8>>,
    pub(crate) end: Result<Tail>,
    pub(crate) good_file_bytes: u64,
    pub(crate) damaged_stamps: u64,
}

impl Reading {
    pub(crate) fn is_corruption(&self) -> bool {
        matches!(self.end, Err(Error::Corruption { .. }))
    }

    pub(crate) fn is_torn(&self) -> bool {
        matches!(self.end, Ok(Tail::Torn { .. }))
    }
}

/// Reads the log on `disk` to its end. An error of opening counts as an end
/// without records.
pub(crate) fn read_disk(disk: &SimDisk, position: SegmentPosition) -> Reading {
    let mut reading =
        Reading { records: vec![], end: Ok(Tail::Clean), good_file_bytes: 0, damaged_stamps: 0 };
    let mut reader = match LogReader::open(&*disk.fs(), NAME, FileKind::Wal, position) {
        Ok(reader) => reader,
        Err(error) => {
            reading.end = Err(error);
            return reading;
        }
    };
    reading.end = loop {
        match reader.next_record() {
            Ok(Some(record)) => reading.records.push(record.payload.to_vec()),
            Ok(None) => break Ok(reader.tail().expect("the tail is known at the end")),
            Err(error) => break Err(error),
        }
    };
    // Who asks again is told the same.
    let again = reader.next_record().map(|record| record.is_some());
    match (&reading.end, again) {
        (Ok(tail), Ok(false)) => assert_eq!(reader.tail(), Some(*tail)),
        (Err(error), Err(again)) => assert_eq!(error.to_string(), again.to_string()),
        (end, again) => panic!("the log ended with {end:?} and then with {again:?}"),
    }
    reading.good_file_bytes = reader.good_file_bytes();
    reading.damaged_stamps = reader.damaged_stamps();
    reading
}

pub(crate) fn read(bytes: &[u8], position: SegmentPosition) -> Reading {
    let disk = SimDisk::new(0);
    disk.write_file(NAME, bytes);
    read_disk(&disk, position)
}

pub(crate) fn read_last(bytes: &[u8]) -> Reading {
    read(bytes, SegmentPosition::Last)
}

/// Printable bytes that differ from record to record.
pub(crate) fn text(record: usize, len: usize) -> Vec<u8> {
    (0..len).map(|index| b'!' + ((index * 7 + index / 90 + record * 31) % 90) as u8).collect()
}

/// True if `part` is how `whole` begins.
pub(crate) fn is_prefix(part: &[Vec<u8>], whole: &[Vec<u8>]) -> bool {
    whole.starts_with(part)
}
