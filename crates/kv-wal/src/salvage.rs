//! Reading a damaged log: every record that proves itself, and the gaps.
//!
//! A record is believed if header and payload both pass their checksums, which
//! are seeded with the random identity of the file and the record's place in
//! it. So unlike the tail classification, which must not be fooled into going
//! on, a salvage may look for records at every byte behind damage: what it
//! finds was written by this log at this place, or is a coincidence of 64 bits.

use std::fmt;
use std::sync::Arc;

use kv_core::{ChecksumSeed, FileHeader, Result};
use kv_env::ReadFile;

use crate::frames::{FrameReader, Located};
use crate::header::{LOG_HEADER_BYTES, LogHeader};
use crate::layout::{FRAME_BYTES, Lsn};
use crate::reader::Record;
use crate::record::{RECORD_HEADER_BYTES, RecordHeader, RecordType};

/// What stands next in a damaged log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Salvaged<'a> {
    /// A record that is intact.
    Record(Record<'a>),
    /// Bytes that are no intact record. How many records are lost in them, the
    /// log does not know.
    Gap(LogGap),
}

/// A part of a log that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogGap {
    /// Where it starts in the file. For a salvage, where the file would be cut to
    /// be rid of it: the stamp belongs to it if its first record begins a frame.
    pub file_offset: u64,
    /// Its length in the file, up to the next intact record or to the last
    /// byte that is not zero.
    pub bytes: u64,
    /// What is wrong with the first record in it.
    pub what: &'static str,
}

/// What is known of the place where a record should start.
pub(crate) enum Place {
    Intact { header: RecordHeader, payload: Located },
    Bad { what: &'static str, search_from: Lsn },
}

/// Reads all of one log file, past any damage.
///
/// Cost: one pass over the file, one more to find its last used byte, and a
/// checksum of sixteen bytes for every byte of a gap. Memory: as
/// [`LogReader`](crate::LogReader), without the bytes behind damage.
pub struct SalvageReader {
    frames: FrameReader,
    header: FileHeader,
    scratch: Vec<u8>,
    next: Lsn,
    /// Offset of the last byte of the file that is not zero.
    last_written: Option<u64>,
    is_finished: bool,
    is_done: bool,
    /// The file is shorter than when it was made.
    is_short: bool,
    /// What stands where the header's page should be zero.
    header_gap: Option<LogGap>,
}

impl SalvageReader {
    /// Reads `file`, whose header says `header` or would if it were intact: a
    /// wrong header finds no record.
    ///
    /// # Errors
    /// `Io`.
    pub fn new(file: Arc<dyn ReadFile>, name: &str, header: FileHeader) -> Result<SalvageReader> {
        let made = LogHeader::read(&*file, name, header.kind);
        let made_bytes = made.map_or(FRAME_BYTES, |log| log.prewritten_bytes.max(FRAME_BYTES));
        let is_short = file.len() < made_bytes;
        let header_gap = header_gap(&*file)?;
        let mut frames = FrameReader::new(file, name, header.seed());
        let last_written = frames.last_written(Lsn::START.file_end())?;
        Ok(SalvageReader {
            frames,
            header,
            scratch: Vec::new(),
            next: Lsn::START,
            last_written,
            is_finished: false,
            is_done: false,
            is_short,
            header_gap,
        })
    }

    /// The next record or gap; `None` at the end.
    ///
    /// # Errors
    /// `Io`; `Corruption` if the file becomes shorter meanwhile.
    pub fn next_part(&mut self) -> Result<Option<Salvaged<'_>>> {
        if let Some(gap) = self.header_gap.take() {
            return Ok(Some(Salvaged::Gap(gap)));
        }
        if self.is_done {
            return Ok(None);
        }
        let lsn = self.next;
        match self.place(lsn)? {
            Place::Intact { header, payload } => {
                self.next = header.end(lsn);
                if header.is_end_mark() {
                    self.is_finished = true;
                    return Ok(self.rest("there is something behind the end mark of the log"));
                }
                let payload = match payload {
                    Located::Chunk(range) => &self.frames.chunk()[range],
                    Located::Scratch => &self.scratch[..],
                };
                let record = Record { lsn, file_offset: lsn.file_offset(), payload };
                Ok(Some(Salvaged::Record(record)))
            }
            Place::Bad { what, search_from } => match self.find_record(search_from)? {
                None => Ok(self.rest(what)),
                Some(found) => {
                    self.next = found;
                    let file_offset = lsn.file_end();
                    let bytes = found.file_offset() - file_offset;
                    Ok(Some(Salvaged::Gap(LogGap { file_offset, bytes, what })))
                }
            },
        }
    }

    /// True once the end mark was read: the log was finished properly.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// True if the file is shorter than when it was made, as a finished log may
    /// be and one that took records until the end may not.
    pub fn is_short(&self) -> bool {
        self.is_short
    }

    /// Ends the log; a gap if not all that is left is zero.
    fn rest(&mut self, what: &'static str) -> Option<Salvaged<'static>> {
        self.is_done = true;
        let file_offset = self.next.file_end();
        let last = self.last_written.filter(|&last| last >= file_offset)?;
        Some(Salvaged::Gap(LogGap { file_offset, bytes: last + 1 - file_offset, what }))
    }

    /// The first place from `from` on where an intact record stands.
    fn find_record(&mut self, from: Lsn) -> Result<Option<Lsn>> {
        let Some(last) = self.last_written else { return Ok(None) };
        let mut lsn = from;
        while lsn.file_offset() <= last {
            if let Place::Intact { .. } = self.place(lsn)? {
                return Ok(Some(lsn));
            }
            lsn = lsn.plus(1);
        }
        Ok(None)
    }

    fn place(&mut self, lsn: Lsn) -> Result<Place> {
        look_at(&mut self.frames, &mut self.scratch, self.header.seed(), lsn)
    }
}

/// Checks whether an intact record stands at `lsn`. The payload is in `scratch`
/// where the answer says so.
pub(crate) fn look_at(
    frames: &mut FrameReader,
    scratch: &mut Vec<u8>,
    seed: ChecksumSeed,
    lsn: Lsn,
) -> Result<Place> {
    let bad = |what, search_from| Ok(Place::Bad { what, search_from });
    let behind = lsn.plus(1);
    let located = frames.locate(lsn, RECORD_HEADER_BYTES, scratch)?;
    let bytes = match &located {
        Some(Located::Chunk(range)) => &frames.chunk()[range.clone()],
        Some(Located::Scratch) => &scratch[..],
        None => return bad("the file ends inside the header of a log record", behind),
    };
    let Some(header) = RecordHeader::decode(lsn, seed, bytes) else {
        return bad("the header of a log record fails its checksum", behind);
    };
    // The header is proven, and no record starts inside the payload.
    let end = header.end(lsn);
    let len = header.payload_bytes as usize;
    let start = lsn.plus(RECORD_HEADER_BYTES);
    let located = frames.locate(start, len, scratch)?;
    let payload = match &located {
        Some(Located::Chunk(range)) => &frames.chunk()[range.clone()],
        Some(Located::Scratch) => &scratch[..],
        None => return bad("the file ends inside a log record", end),
    };
    if !header.matches(lsn, seed, payload) {
        return bad("the payload of a log record fails its checksum", end);
    }
    match (header.record_type(frames.name()), located) {
        (Ok(RecordType::Data | RecordType::End), Some(payload)) => {
            Ok(Place::Intact { header, payload })
        }
        _ => bad("the log record is of a later version", end),
    }
}

/// The part of the header's page that should be zero and is not.
pub(crate) fn header_gap(file: &dyn ReadFile) -> Result<Option<LogGap>> {
    let mut page = [0; FRAME_BYTES as usize];
    let got = file.read_at(0, &mut page)?;
    let rest = page[..got].get(LOG_HEADER_BYTES..).unwrap_or_default();
    let (Some(first), Some(last)) =
        (rest.iter().position(|&byte| byte != 0), rest.iter().rposition(|&byte| byte != 0))
    else {
        return Ok(None);
    };
    Ok(Some(LogGap {
        file_offset: (LOG_HEADER_BYTES + first) as u64,
        bytes: (last + 1 - first) as u64,
        what: "there is something behind the header where there should be zeros",
    }))
}

impl fmt::Debug for SalvageReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SalvageReader")
            .field("file", &self.frames.name())
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
