//! Appending: records are encoded into a group buffer and handed to the file
//! together.

use std::fmt;
use std::sync::Arc;

use kv_core::{ChecksumSeed, Error, FileHeader, Result};
use kv_env::{Fs, SyncHandle, WriteFile};

use crate::header::LogHeader;
use crate::layout::{FRAME_BYTES, FRAME_DATA_BYTES, Lsn, frame_offset};
use crate::record::{MAX_PAYLOAD_BYTES, RECORD_HEADER_BYTES, RecordHeader, RecordType};
use crate::stamp::FrameStamp;
use crate::synced::SyncedPosition;

/// A group that has grown to this many bytes goes to the file at the next
/// frame boundary without waiting for [`LogWriter::flush`]: it bounds the
/// memory that one large record takes and keeps the buffer in the cache.
const GROUP_BUFFER_BYTES: usize = 1 << 20;

/// [`LogWriter::reserve`] grows a file by this share of what was prewritten, so
/// that large logs grow in few calls and small ones stay small ...
const GROWTH_SHARE: u64 = 16;
/// ... by this many bytes at most: about a millisecond of zeros.
const MAX_GROWTH_BYTES: u64 = 4 << 20;

/// Writes one log file, front to back.
///
/// 1. [`append`](LogWriter::append) encodes a record into the group buffer.
/// 2. [`flush`](LogWriter::flush) hands the group to the operating system:
///    from here on it survives the death of the process.
/// 3. [`sync`](LogWriter::sync), or a [`SyncHandle`] on another thread followed
///    by [`SyncedPosition::advance`], makes it durable.
///
/// After an error the end of the file is unknown, and every further call fails
/// with [`Error::Poisoned`]. Dropping the writer drops what was not flushed.
pub struct LogWriter {
    file: Box<dyn WriteFile>,
    seed: ChecksumSeed,
    group: Vec<u8>,
    end: Lsn,
    flushed: Lsn,
    synced: SyncedPosition,
    /// Length of the file with the zeros behind the last record: within it an
    /// append needs no space from the disk.
    allocated_bytes: u64,
    growth_bytes: u64,
    failure: Option<Error>,
}

impl LogWriter {
    /// Creates the file `name` with `header`, fills it with zeros up to
    /// `prewritten_bytes` in all, and syncs it. Syncing the directory is left
    /// to the caller.
    ///
    /// A sync of a prewritten part is cheaper, for it changes no metadata; and
    /// there the reader can tell rot in the record that was synced last from a
    /// torn write. The log may grow beyond it.
    ///
    /// # Errors
    /// `Io`; what was created is left behind for the caller to remove.
    pub fn create(
        fs: &dyn Fs,
        name: &str,
        header: FileHeader,
        prewritten_bytes: u64,
    ) -> Result<LogWriter> {
        let mut file = fs.create(name)?;
        file.append(&LogHeader { file: header, prewritten_bytes }.encode())?;
        if prewritten_bytes > FRAME_BYTES {
            file.zero_fill(prewritten_bytes)?;
        }
        file.sync()?;
        Ok(LogWriter {
            file,
            seed: header.seed(),
            group: Vec::new(),
            end: Lsn::START,
            flushed: Lsn::START,
            synced: SyncedPosition::default(),
            allocated_bytes: prewritten_bytes.max(FRAME_BYTES),
            growth_bytes: (prewritten_bytes / GROWTH_SHARE).clamp(FRAME_BYTES, MAX_GROWTH_BYTES),
            failure: None,
        })
    }

    /// Makes room for `records` records with `payload_bytes` in all: zeros are
    /// written behind the log until the file is long enough. A full disk shows
    /// here, before anything of a record is written, and not in the middle of
    /// one.
    ///
    /// Costs a comparison while the prewritten part lasts.
    ///
    /// # Errors
    /// [`Io`](Error::Io) with [`is_out_of_space`](Error::is_out_of_space) if the
    /// disk is full, or
    /// [`is_out_of_resources`](Error::is_out_of_resources): the log is as it was
    /// and can be used on. Any other `Io` ends it.
    pub fn reserve(&mut self, records: usize, payload_bytes: usize) -> Result<()> {
        self.check_usable()?;
        let needed = self.end.plus(records * RECORD_HEADER_BYTES + payload_bytes).file_end();
        if needed <= self.allocated_bytes {
            return Ok(());
        }
        let goal = needed.next_multiple_of(self.growth_bytes);
        match self.file.zero_fill(goal) {
            Err(error) if error.is_out_of_space() || error.is_out_of_resources() => Err(error),
            outcome => {
                self.keep_failure(outcome)?;
                self.allocated_bytes = goal;
                Ok(())
            }
        }
    }

    /// Encodes a record into the group buffer and returns the lsn behind it.
    ///
    /// Costs two checksums and one copy of the payload; no allocation once the
    /// buffer has its size. A group of over a MiB is handed to the file early.
    ///
    /// # Errors
    /// `TooLarge` for a payload over [`MAX_PAYLOAD_BYTES`], without effect; `Io`.
    #[inline]
    pub fn append(&mut self, payload: &[u8]) -> Result<Lsn> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(Error::TooLarge {
                what: "log record",
                size: payload.len() as u64,
                limit: MAX_PAYLOAD_BYTES as u64,
            });
        }
        self.append_record(RecordType::Data, payload)
    }

    /// Hands everything appended so far to the operating system.
    ///
    /// # Errors
    /// `Io`, after which the outcome of the group is unknown.
    pub fn flush(&mut self) -> Result<()> {
        self.check_usable()?;
        self.write_group()?;
        self.flushed = self.end;
        Ok(())
    }

    /// Flushes and makes everything appended so far durable.
    ///
    /// # Errors
    /// `Io`, after which the outcome of all unsynced records is unknown. It is
    /// never tried again: the operating system may have dropped the data.
    pub fn sync(&mut self) -> Result<()> {
        self.flush()?;
        if self.synced.get() >= self.end {
            return Ok(());
        }
        let result = self.file.sync();
        self.keep_failure(result)?;
        self.synced.advance(self.end);
        Ok(())
    }

    /// Syncs the file from another thread. Take [`flushed`](LogWriter::flushed)
    /// before calling it and [`SyncedPosition::advance`] after it succeeded.
    ///
    /// One sync at a time, those of the writer included, and none after a failed
    /// one: the operating system reports lost pages to one caller only.
    pub fn sync_handle(&self) -> Arc<dyn SyncHandle> {
        self.file.sync_handle()
    }

    /// The position up to which the log is known durable, shared.
    pub fn synced_position(&self) -> SyncedPosition {
        self.synced.clone()
    }

    /// The lsn behind the last record that was appended.
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// The lsn behind the last record that was flushed.
    pub fn flushed(&self) -> Lsn {
        self.flushed
    }

    /// Length in bytes of the file with all that was appended, without the
    /// prewritten zeros behind it.
    pub fn file_bytes(&self) -> u64 {
        self.end.file_end()
    }

    /// Ends the log: syncs it, appends the end mark, and seals the file, which
    /// cuts the prewritten zeros off and makes it read-only.
    ///
    /// The sync comes first so that the mark, should it be all that is left of
    /// a damaged tail, proves that every record before it was durable.
    ///
    /// # Errors
    /// [`is_out_of_space`](Error::is_out_of_space) if the disk is full: nothing
    /// but the sync was done, try again. Any other `Io`: the file is as a crash
    /// would have left it. After either that or success the log takes no more
    /// records.
    pub fn finish(&mut self) -> Result<()> {
        self.sync()?;
        self.reserve(1, 0)?;
        self.append_record(RecordType::End, &[])?;
        self.flush()?;
        let sealed = self.file.seal();
        self.failure = Some(sealed.as_ref().err().cloned().unwrap_or(Error::Closed));
        sealed
    }

    #[inline]
    fn append_record(&mut self, record_type: RecordType, payload: &[u8]) -> Result<Lsn> {
        self.check_usable()?;
        let start = self.end;
        // Only what was flushed can have been synced, whatever a caller noted.
        let synced = self.synced.get().min(self.flushed);
        let header = RecordHeader::new(record_type, payload, start, synced, self.seed);
        let record = Encoding { start, end: header.end(start), synced };
        let header: [u8; RECORD_HEADER_BYTES] = header.encode(start, self.seed);
        self.put(&record, &header)?;
        self.put(&record, payload)?;
        debug_assert_eq!(self.end, record.end);
        Ok(self.end)
    }

    /// Adds `bytes` of a record to the group, with a stamp wherever a frame
    /// begins.
    #[inline]
    fn put(&mut self, record: &Encoding, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let used = self.end.offset_in_frame();
            if used == 0 {
                self.begin_frame(record)?;
            }
            let room = (FRAME_DATA_BYTES - used) as usize;
            let (head, rest) = bytes.split_at(bytes.len().min(room));
            self.group.extend_from_slice(head);
            self.end = self.end.plus(head.len());
            bytes = rest;
        }
        Ok(())
    }

    /// Starts a frame with its stamp. The group is written out here if it has
    /// grown large, so that a write ends at a record or at a frame.
    fn begin_frame(&mut self, record: &Encoding) -> Result<()> {
        if self.group.len() >= GROUP_BUFFER_BYTES {
            self.write_group()?;
        }
        let left = if self.end == record.start { 0 } else { record.end.0 - self.end.0 };
        let continuation = u32::try_from(left).expect("a record is below 4 GiB");
        let stamp = FrameStamp { continuation, synced: record.synced };
        let offset = frame_offset(self.end.frame());
        self.group.extend_from_slice(&stamp.encode(self.seed, offset));
        Ok(())
    }

    fn write_group(&mut self) -> Result<()> {
        if self.group.is_empty() {
            return Ok(());
        }
        let result = self.file.append(&self.group);
        self.group.clear();
        self.keep_failure(result)
    }

    fn check_usable(&self) -> Result<()> {
        match &self.failure {
            None => Ok(()),
            Some(cause) => Err(Error::Poisoned { cause: cause.to_string() }),
        }
    }

    fn keep_failure(&mut self, result: Result<()>) -> Result<()> {
        if let Err(error) = &result {
            self.failure = Some(error.clone());
        }
        result
    }
}

impl fmt::Debug for LogWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LogWriter")
            .field("end", &self.end)
            .field("flushed", &self.flushed)
            .field("synced", &self.synced.get())
            .finish_non_exhaustive()
    }
}

/// The place of the record that is being encoded.
struct Encoding {
    start: Lsn,
    end: Lsn,
    synced: Lsn,
}
