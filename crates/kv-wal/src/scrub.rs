//! Reading a log that is known to be durable again, a slice at a time, to find
//! bytes that have changed since.
//!
//! Up to where it is durable a log never changes, so it can be read beside its
//! writer: what stands behind that place is not looked at. There is no tear to
//! be told from rot, and so no judgement: whatever fails its checksum is
//! damage, and the scrub goes on behind it.

use std::fmt;
use std::sync::Arc;

use kv_core::{Error, FileHeader, Result};
use kv_env::ReadFile;

use crate::frames::FrameReader;
use crate::header::{LOG_HEADER_BYTES, LogHeader};
use crate::layout::{FRAME_BYTES, Lsn, frame_offset};
use crate::salvage::{LogGap, Place, header_gap, look_at};

/// How far a step of a [`LogScrub`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogScrubProgress {
    /// Bytes of the file that were read.
    pub bytes: u64,
    /// True if the end was reached.
    pub is_at_end: bool,
}

/// A place in a log that is being scrubbed.
///
/// Memory: a chunk of 256 KiB and the largest record.
pub struct LogScrub {
    file: Arc<dyn ReadFile>,
    frames: FrameReader,
    header: FileHeader,
    scratch: Vec<u8>,
    next: Lsn,
    /// Where the durable part ends.
    end: Lsn,
    needs_mark: bool,
    has_mark: bool,
    is_header_checked: bool,
    /// Damaged stamps that were told, or are part of a gap.
    stamps_told: u64,
    /// Where damage begins that has not ended yet, and what it is.
    gap: Option<(Lsn, &'static str)>,
}

impl LogScrub {
    /// Reads `file`, whose header must be `header`, up to its length
    /// `durable_bytes`; `None` stands for a log that ends with its end mark.
    /// What is to come from the device must not be in memory: that is left to
    /// the caller.
    pub fn new(
        file: Arc<dyn ReadFile>,
        name: &str,
        header: FileHeader,
        durable_bytes: Option<u64>,
    ) -> LogScrub {
        LogScrub {
            frames: FrameReader::new(Arc::clone(&file), name, header.seed()),
            header,
            scratch: Vec::new(),
            next: Lsn::START,
            end: Lsn::at_file_end(durable_bytes.unwrap_or_else(|| file.len())),
            needs_mark: durable_bytes.is_none(),
            has_mark: false,
            is_header_checked: false,
            stamps_told: 0,
            gap: None,
            file,
        }
    }

    /// Where the next step goes on, in bytes of the file.
    pub fn file_offset(&self) -> u64 {
        self.next.file_end()
    }

    /// Reads some `most_bytes` more, a record or a frame over at most, and adds
    /// what is wrong to `damage`. Not to be called again after the end. After an
    /// error the next step goes on where this one could not.
    ///
    /// # Errors
    /// `Io`; `Corruption` if the file becomes shorter meanwhile.
    pub fn step(&mut self, most_bytes: u64, damage: &mut Vec<LogGap>) -> Result<LogScrubProgress> {
        let mut header_bytes = 0;
        if !self.is_header_checked {
            self.check_header(damage)?;
            self.is_header_checked = true;
            header_bytes = FRAME_BYTES;
        }
        let start = self.next.file_end();
        loop {
            let bytes = header_bytes + (self.next.file_end() - start);
            if self.next >= self.end {
                self.end(damage);
                return Ok(LogScrubProgress { bytes, is_at_end: true });
            }
            if bytes >= most_bytes.max(1) {
                return Ok(LogScrubProgress { bytes, is_at_end: false });
            }
            self.look(damage)?;
        }
    }

    fn look(&mut self, damage: &mut Vec<LogGap>) -> Result<()> {
        let lsn = self.next;
        let place = look_at(&mut self.frames, &mut self.scratch, self.header.seed(), lsn)?;
        let stamps = self.frames.damaged_stamps();
        let has_damaged_stamp = std::mem::replace(&mut self.stamps_told, stamps) < stamps;
        match place {
            Place::Intact { header, .. } => {
                self.close_gap(lsn, damage);
                self.next = header.end(lsn);
                self.has_mark = header.is_end_mark();
                if has_damaged_stamp {
                    let file_offset = frame_offset(lsn.frame());
                    let bytes = self.next.file_end() - file_offset;
                    let what = "the stamp of a frame is damaged; no record is";
                    damage.push(LogGap { file_offset, bytes, what });
                }
            }
            Place::Bad { what, search_from } => {
                self.gap.get_or_insert((lsn, what));
                self.has_mark = false;
                self.next = search_from;
            }
        }
        Ok(())
    }

    fn end(&mut self, damage: &mut Vec<LogGap>) {
        let is_told = self.gap.is_some();
        self.close_gap(self.end, damage);
        if self.needs_mark && !self.has_mark && !is_told {
            let what = "the end mark of the log is missing";
            damage.push(LogGap { file_offset: self.end.file_end(), bytes: 0, what });
        }
    }

    /// Notes the damage before `end`.
    fn close_gap(&mut self, end: Lsn, damage: &mut Vec<LogGap>) {
        let Some((start, what)) = self.gap.take() else { return };
        let file_offset = start.file_offset();
        let bytes = end.file_end().saturating_sub(file_offset);
        damage.push(LogGap { file_offset, bytes, what });
    }

    fn check_header(&self, damage: &mut Vec<LogGap>) -> Result<()> {
        let found = LogHeader::read(&*self.file, self.frames.name(), self.header.kind);
        if let Err(error @ Error::Io { .. }) = found {
            return Err(error);
        }
        if found.is_ok_and(|found| found.file == self.header) {
            damage.extend(header_gap(&*self.file)?);
            return Ok(());
        }
        let what = "the header is damaged or that of another file";
        damage.push(LogGap { file_offset: 0, bytes: LOG_HEADER_BYTES as u64, what });
        Ok(())
    }
}

impl fmt::Debug for LogScrub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LogScrub")
            .field("file", &self.frames.name())
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use kv_core::{DatabaseId, FileKind};
    use kv_env::SimDisk;

    use super::*;
    use crate::writer::LogWriter;

    /// Which log it is and how far it came, and none of its bytes.
    #[test]
    fn a_message_about_a_scrub_names_the_file_and_the_place() {
        let disk = SimDisk::new(0);
        let header = FileHeader {
            kind: FileKind::Wal,
            database_id: DatabaseId([1; 16]),
            file_id: 1,
            file_uid: [2; 16],
        };
        let mut log = LogWriter::create(&*disk.fs(), "log", header, 16 << 10).unwrap();
        log.append(b"secret").unwrap();
        log.finish().unwrap();
        let mut scrub = LogScrub::new(disk.fs().open("log").unwrap(), "log", header, None);
        while !scrub.step(1, &mut Vec::new()).unwrap().is_at_end {}
        let end = scrub.next;
        let expected = format!("LogScrub {{ file: \"log\", next: {end:?}, .. }}");
        assert_eq!(format!("{scrub:?}"), expected);
    }
}
