//! Reading a log file from front to back, and judging its end.

use std::fmt;

use kv_core::{ChecksumSeed, Error, FileHeader, FileKind, Result};
use kv_env::Fs;

use crate::frames::{FrameReader, Located};
use crate::header::LogHeader;
use crate::layout::Lsn;
use crate::record::{RECORD_HEADER_BYTES, RecordHeader, RecordType};
use crate::tail::{Suspect, Verdict, classify};

/// What the caller knows about a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentPosition {
    /// The one that was written last: a crash may have torn its tail.
    Last,
    /// One with a successor, before whose first record it was synced: any
    /// damage is rot.
    Sealed,
}

/// How a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Behind its last record, without an end mark: the writer was never
    /// [`finish`](crate::LogWriter::finish)ed, and nothing is torn.
    Clean,
    /// With its end mark. Every record before it was durable when the mark was
    /// written, and none was written since.
    EndMark,
    /// With a record that was never written whole. Neither it nor what stands
    /// behind it was durable.
    Torn {
        /// Where to cut the file, in bytes.
        file_offset: u64,
        /// Bytes from there to the last one that is not zero.
        discarded_bytes: u64,
    },
}

/// A record as it was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where the record starts in the stream.
    pub lsn: Lsn,
    /// Where the record starts in the file, for messages.
    pub file_offset: u64,
    /// What was appended.
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// The length in bytes of the file if this is its last record: where it ends,
    /// stamps of frames included.
    pub fn file_end(&self) -> u64 {
        self.lsn.plus(RECORD_HEADER_BYTES).plus(self.payload.len()).file_end()
    }
}

/// Reads one log file, front to back, by plain reads in large chunks.
///
/// Memory: one chunk of 256 KiB, the largest record, and at the end what
/// stands behind a bad record. Chunk and records take no more than the file is
/// long, and neither does the end: together less than twice that and a chunk.
pub struct LogReader {
    frames: FrameReader,
    header: LogHeader,
    seed: ChecksumSeed,
    position: SegmentPosition,
    scratch: Vec<u8>,
    end: Lsn,
    damaged_stamps: u64,
    /// The log ends with a whole record header and no whole payload.
    has_bad_payload: bool,
    tail: Option<Tail>,
    failure: Option<Error>,
}

impl LogReader {
    /// Opens the log file `name`, which must be of `kind`.
    ///
    /// Drops the file's clean pages first: after a failed sync the cache may
    /// show records that never reached the device.
    ///
    /// # Errors
    /// As [`read_header`](crate::read_header).
    pub fn open(
        fs: &dyn Fs,
        name: &str,
        kind: FileKind,
        position: SegmentPosition,
    ) -> Result<LogReader> {
        let file = fs.open(name)?;
        file.drop_cache()?;
        let header = LogHeader::read(&*file, name, kind)?;
        let seed = header.file.seed();
        Ok(LogReader {
            frames: FrameReader::new(file, name, seed),
            header,
            seed,
            position,
            scratch: Vec::new(),
            end: Lsn::START,
            damaged_stamps: 0,
            has_bad_payload: false,
            tail: None,
            failure: None,
        })
    }

    /// Who the file is.
    pub fn header(&self) -> FileHeader {
        self.header.file
    }

    /// The next record, or `None` at the end, of which
    /// [`tail`](LogReader::tail) then says how it came about.
    ///
    /// # Errors
    /// `Corruption` with the file offset of the first record that was written
    /// and is damaged; `Unsupported` for a record of a later version; `Io`.
    /// Every later call fails alike.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>> {
        if let Some(error) = &self.failure {
            return Err(error.clone());
        }
        if self.tail.is_some() {
            return Ok(None);
        }
        let lsn = self.end;
        match self.read_record(lsn) {
            Ok(Some(located)) => {
                let payload = match located {
                    Located::Chunk(range) => &self.frames.chunk()[range],
                    Located::Scratch => &self.scratch[..],
                };
                Ok(Some(Record { lsn, file_offset: lsn.file_offset(), payload }))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                self.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// How the log ends; known once [`next_record`](LogReader::next_record)
    /// has returned `None`.
    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }

    /// The lsn behind the last record that was read.
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// Length of the file up to the last record that was read: where to cut it
    /// if its tail is torn.
    pub fn good_file_bytes(&self) -> u64 {
        self.end.file_end()
    }

    /// True if something has cut the file since it was written: it is shorter
    /// than it was made, which no crash does, and does not end where an end mark
    /// ends. Known at the end of the log.
    ///
    /// A file that is cut by whoever reads it, to remove a torn tail, looks just
    /// like that: note elsewhere that it was cut.
    pub fn is_cut_short(&self) -> bool {
        let (made, found) = (self.header.prewritten_bytes, self.frames.stream_end());
        let is_in_place_of_mark =
            found == self.end.plus(RECORD_HEADER_BYTES) && !self.has_bad_payload;
        self.tail != Some(Tail::EndMark) && found < Lsn::at_file_end(made) && !is_in_place_of_mark
    }

    /// Frame stamps that fail their checksum although the records around them
    /// are intact. Nothing is lost, but the device is not to be trusted.
    pub fn damaged_stamps(&self) -> u64 {
        self.damaged_stamps
    }

    fn read_record(&mut self, lsn: Lsn) -> Result<Option<Located>> {
        let header = self.read_header(lsn)?;
        let Some(header) = header else { return self.end_before(lsn, None) };
        let record_type = header.record_type(self.frames.name())?;
        let payload_lsn = lsn.plus(RECORD_HEADER_BYTES);
        let len = header.payload_bytes as usize;
        let located = self.frames.locate(payload_lsn, len, &mut self.scratch)?;
        let Some(located) = located else { return self.end_before(lsn, Some(header)) };
        let payload = match &located {
            Located::Chunk(range) => &self.frames.chunk()[range.clone()],
            Located::Scratch => &self.scratch[..],
        };
        if !header.matches(lsn, self.seed, payload) {
            return self.end_before(lsn, Some(header));
        }
        self.end = header.end(lsn);
        // Not before: the stamp next to a torn record may be torn as well.
        self.damaged_stamps = self.frames.damaged_stamps();
        match record_type {
            RecordType::Data => Ok(Some(located)),
            RecordType::End => self.end_at_mark(),
        }
    }

    fn read_header(&mut self, lsn: Lsn) -> Result<Option<RecordHeader>> {
        let located = self.frames.locate(lsn, RECORD_HEADER_BYTES, &mut self.scratch)?;
        let bytes = match &located {
            Some(Located::Chunk(range)) => &self.frames.chunk()[range.clone()],
            Some(Located::Scratch) => &self.scratch[..],
            None => return Ok(None),
        };
        Ok(RecordHeader::decode(lsn, self.seed, bytes))
    }

    /// No good record stands at `lsn`: this is the end, or damage.
    fn end_before(&mut self, lsn: Lsn, header: Option<RecordHeader>) -> Result<Option<Located>> {
        self.has_bad_payload = header.is_some();
        let (base, bytes) = self.frames.rest(lsn)?;
        if bytes.is_empty() {
            self.tail = Some(Tail::Clean);
            return Ok(None);
        }
        let corrupt =
            |what: String| Err(Error::corruption(self.frames.name(), lsn.file_offset(), what));
        if self.position == SegmentPosition::Sealed {
            return corrupt("a log record is damaged, and a later segment follows".into());
        }
        let suspect = Suspect {
            seed: self.seed,
            prewritten_bytes: self.header.prewritten_bytes,
            bytes: &bytes,
            stream_end: self.frames.stream_end(),
            start: lsn,
            header,
        };
        match classify(&suspect) {
            Verdict::Torn => {
                let file_offset = lsn.file_end();
                let discarded_bytes = base + bytes.len() as u64 - file_offset;
                self.tail = Some(Tail::Torn { file_offset, discarded_bytes });
                Ok(None)
            }
            Verdict::WasDurable { proof_offset } => corrupt(format!(
                "a log record is damaged; it was synced, as offset {proof_offset} proves"
            )),
            Verdict::WasWhole => {
                corrupt("a log record is damaged, and no part of it is missing".into())
            }
        }
    }

    fn end_at_mark(&mut self) -> Result<Option<Located>> {
        let end = self.end.file_end();
        if self.frames.last_written(end)?.is_some() {
            return Err(Error::corruption(
                self.frames.name(),
                end,
                "there is something behind the end mark of the log",
            ));
        }
        self.tail = Some(Tail::EndMark);
        Ok(None)
    }
}

impl fmt::Debug for LogReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LogReader")
            .field("file", &self.frames.name())
            .field("end", &self.end)
            .field("tail", &self.tail)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use kv_core::DatabaseId;
    use kv_env::SimDisk;

    use super::*;
    use crate::layout::STAMP_BYTES;
    use crate::writer::LogWriter;

    fn header() -> FileHeader {
        FileHeader {
            kind: FileKind::Wal,
            database_id: DatabaseId([1; 16]),
            file_id: 1,
            file_uid: [2; 16],
        }
    }

    /// The memory for a payload is taken only once the file proves to be as
    /// long as the payload says.
    #[test]
    fn a_false_length_allocates_nothing() {
        let disk = SimDisk::new(0);
        let header = header();
        LogWriter::create(&*disk.fs(), "log", header, 16 << 10).unwrap();
        let mut bytes = disk.read_file("log").unwrap();
        let (start, seed) = (Lsn::START, header.seed());
        let mut huge = RecordHeader::new(RecordType::Data, b"", start, start, seed);
        huge.payload_bytes = u32::MAX;
        let at = (4096 + STAMP_BYTES) as usize;
        bytes[at..at + RECORD_HEADER_BYTES].copy_from_slice(&huge.encode(start, seed));
        disk.write_file("log", &bytes);

        let position = SegmentPosition::Last;
        let mut reader = LogReader::open(&*disk.fs(), "log", FileKind::Wal, position).unwrap();
        assert_eq!(reader.next_record().unwrap(), None);
        assert!(matches!(reader.tail(), Some(Tail::Torn { file_offset: 4096, .. })));
        assert!(reader.scratch.capacity() < bytes.len());
    }

    /// The buffer for records in several frames is less than twice the largest
    /// of them, and not longer than the file; the other one is a chunk.
    #[test]
    fn growing_records_take_no_more_than_the_file() {
        let cases = [(0, &[1, 17][..]), (2 << 20, &[1, 2, 3, 5, 9, 17])];
        for (prewritten_bytes, sizes) in cases {
            let disk = SimDisk::new(0);
            let fs = disk.fs();
            let mut log = LogWriter::create(&*fs, "log", header(), prewritten_bytes).unwrap();
            for &pages in sizes {
                log.append(&vec![pages; 4096 * usize::from(pages)]).unwrap();
            }
            log.flush().unwrap();
            let file_bytes = disk.read_file("log").unwrap().len();
            let position = SegmentPosition::Last;
            let mut reader = LogReader::open(&*fs, "log", FileKind::Wal, position).unwrap();
            let mut largest = 0;
            while let Some(record) = reader.next_record().unwrap() {
                largest = record.payload.len();
                let most = file_bytes.min(2 * largest);
                let scratch = reader.scratch.capacity();
                assert!((largest..=most).contains(&scratch), "{scratch}, {most} at most");
            }
            assert_eq!(largest, 17 * 4096);
            let chunk = reader.frames.chunk_capacity();
            assert!(chunk <= file_bytes.min(256 << 10), "{chunk} of {file_bytes}");
        }
    }
}
