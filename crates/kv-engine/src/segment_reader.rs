//! Reading one log segment of a database: what the log says of its end, checked
//! against what the manifest says of it.
//!
//! | the segment | may end |
//! |---|---|
//! | active or prepared | anywhere: a crash may have torn it. But it is as long as it was made, or ends in the place of its end mark |
//! | sealed by the engine | with its end mark |
//! | found by a recovery without an end mark | exactly where that recovery found its end, as the manifest says; what stands behind counts for nothing |
//! | sealed by either, while the manifest that tells which is damaged | behind any intact record: a next segment that goes on there proves it |

use std::collections::BTreeMap;

use kv_core::{Error, FileKind, Result};
use kv_env::Fs;
use kv_wal::{LogReader, Record, SegmentPosition, Tail};

use crate::manifest::ManifestState;
use crate::names;

/// What a torn end mark takes at most: a record header, and a frame stamp if
/// it crosses into the next frame.
const MAX_END_MARK_BYTES: u64 = 20 + 16;

/// How a segment has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Marked,
    /// At this length of the file, in bytes.
    At(u64),
    /// Marked or at some length that nobody knows any more.
    Untold,
}

/// Where the log as a whole ends, and how sure that is.
pub(crate) struct LogEnd {
    /// The last segment that ever took a record or an end mark: those before it
    /// were synced and may not end torn. Only an end mark was written later and
    /// may be torn; that no record is missing in front of it, the sequence
    /// numbers show.
    last_used: Option<u64>,
    /// The manifest says that the database was closed properly, which it only
    /// says of a log that has its end mark.
    is_marked: bool,
}

impl LogEnd {
    /// `is_marked` says that the database was closed properly.
    pub(crate) fn find(
        fs: &dyn Fs,
        segments: &BTreeMap<u64, String>,
        state: &ManifestState,
        is_marked: bool,
    ) -> Result<LogEnd> {
        for (&id, name) in segments.iter().rev() {
            if SegmentReader::open(fs, id, name, state)?.is_used()? {
                return Ok(LogEnd { last_used: Some(id), is_marked });
            }
        }
        // With the mark all is gone: it was in the active segment.
        let active = segments.iter().find(|(_, name)| *name == names::ACTIVE_SEGMENT);
        let last_used = active.map(|(&id, _)| id).filter(|_| is_marked);
        Ok(LogEnd { last_used, is_marked })
    }

    /// The end of a log whose newest part cannot be read.
    pub(crate) fn behind_damage(segments: &BTreeMap<u64, String>, is_marked: bool) -> LogEnd {
        LogEnd { last_used: segments.last_key_value().map(|(&id, _)| id), is_marked }
    }

    fn has_used_successor(&self, id: u64) -> bool {
        self.last_used.is_some_and(|last| id < last)
    }
}

/// Reads the records of a segment.
pub(crate) struct SegmentReader {
    log: LogReader,
    id: u64,
    name: String,
    end: End,
}

impl SegmentReader {
    pub(crate) fn open(
        fs: &dyn Fs,
        id: u64,
        name: &str,
        state: &ManifestState,
    ) -> Result<SegmentReader> {
        let end = match state.segment_ends.get(&id) {
            Some(&bytes) => End::At(bytes),
            // It gets this name only once its end is final and durable.
            None if name == names::sealed_segment(id) => End::Marked,
            None => End::Open,
        };
        SegmentReader::with_end(fs, id, name, end)
    }

    /// The same where what is known of the manifest may not be all.
    pub(crate) fn open_by_itself(
        fs: &dyn Fs,
        id: u64,
        name: &str,
        state: &ManifestState,
    ) -> Result<SegmentReader> {
        let is_sealed = name == names::sealed_segment(id);
        if is_sealed && !state.segment_ends.contains_key(&id) {
            return SegmentReader::with_end(fs, id, name, End::Untold);
        }
        SegmentReader::open(fs, id, name, state)
    }

    fn with_end(fs: &dyn Fs, id: u64, name: &str, end: End) -> Result<SegmentReader> {
        let position = match end {
            End::Open => SegmentPosition::Last,
            End::Marked | End::At(_) | End::Untold => SegmentPosition::Sealed,
        };
        let log = LogReader::open(fs, name, FileKind::Wal, position)?;
        Ok(SegmentReader { log, id, name: name.into(), end })
    }

    /// The next record, or `None` at the end.
    pub(crate) fn next_record(&mut self) -> Result<Option<Record<'_>>> {
        match self.end {
            End::At(bytes) if self.log.good_file_bytes() >= bytes => Ok(None),
            _ => self.log.next_record(),
        }
    }

    /// Refuses an end that no power cut can have left. All records were read.
    pub(crate) fn check_end(&self, log_end: &LogEnd) -> Result<()> {
        let corrupt = |what: &str| {
            Err(Error::corruption(self.name.clone(), self.log.good_file_bytes(), what))
        };
        match (self.end, self.log.tail()) {
            (End::At(bytes), _) if self.good_file_bytes() != bytes => {
                corrupt("the segment ends here and was longer: its last records are missing")
            }
            (End::At(_) | End::Untold, _) | (_, Some(Tail::EndMark)) => Ok(()),
            (End::Marked, _) => {
                corrupt("a sealed segment has no end mark: its last records may be missing")
            }
            (End::Open, _) if log_end.is_marked && log_end.last_used == Some(self.id) => corrupt(
                "the end of the log is damaged: the database was closed properly, and the mark \
                 of that is missing; put the file back, or salvage what is left with kv repair",
            ),
            (End::Open, Some(Tail::Torn { discarded_bytes, .. }))
                if log_end.has_used_successor(self.id) && discarded_bytes > MAX_END_MARK_BYTES =>
            {
                corrupt("a log record is damaged, and a later segment follows")
            }
            (End::Open, _) if self.log.is_cut_short() => {
                corrupt("the file was longer: its end was cut off, and not by a crash")
            }
            (End::Open, _) => Ok(()),
        }
    }

    /// True if a record or an end mark was ever written to it, or could have
    /// been.
    fn is_used(&mut self) -> Result<bool> {
        let has_record = self.next_record()?.is_some();
        let ends_clean = matches!(self.end, End::At(_)) || self.log.tail() == Some(Tail::Clean);
        Ok(has_record || !ends_clean)
    }

    /// True if nobody has yet made durable what was read, or not for sure.
    pub(crate) fn needs_sync(&self) -> bool {
        self.end == End::Open
    }

    /// True if it was finished.
    pub(crate) fn is_marked(&self) -> bool {
        self.log.tail() == Some(Tail::EndMark)
    }

    /// Bytes behind the last record that were being written at a crash; `None`
    /// if there are none.
    pub(crate) fn torn_bytes(&self) -> Option<u64> {
        match self.log.tail() {
            Some(Tail::Torn { discarded_bytes, .. }) => Some(discarded_bytes),
            _ => None,
        }
    }

    /// Length of the file up to the last record that was read.
    pub(crate) fn good_file_bytes(&self) -> u64 {
        self.log.good_file_bytes()
    }

    pub(crate) fn damaged_stamps(&self) -> u64 {
        self.log.damaged_stamps()
    }
}
