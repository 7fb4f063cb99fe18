//! Replaying the log at open: segments in order, records into memory tables.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use kv_core::{DatabaseId, DecodedBatch, Error, FileKind, Result, SeqNo};
use kv_env::{Env, Fs};
use kv_memtable::{ArenaPool, Memtable, MemtableWriter};
use kv_wal::{LogReader, SegmentPosition, Tail, read_header};

use crate::manifest::ManifestState;
use crate::manifest_load::LoadedManifest;
use crate::names::{self, QUARANTINE};
use crate::options::Options;
use crate::report::{CutTail, SegmentReport};
use crate::view::Frozen;

/// Where a file header holds the random identity.
const FILE_UID_OFFSET: u64 = 48;

/// The segments of a database on disk.
pub(crate) struct FoundSegments {
    /// Segments that count, by id.
    pub(crate) live: BTreeMap<u64, String>,
    /// Segments that are not needed any more or were never finished.
    pub(crate) leftover: Vec<String>,
}

/// Sorts the segment files by what their headers say, and refuses if one that
/// the manifest asks for is missing.
pub(crate) fn find_segments(
    fs: &dyn Fs,
    names: &[String],
    database_id: DatabaseId,
    state: &ManifestState,
) -> Result<FoundSegments> {
    let mut found = FoundSegments { live: BTreeMap::new(), leftover: Vec::new() };
    let mut damaged = None;
    for name in names {
        let header = match read_header(fs, name, FileKind::Wal) {
            Ok(header) => header,
            Err(error @ Error::Corruption { .. }) => {
                // Either its creation was cut short or a segment is damaged:
                // the latter if one is missing below.
                damaged.get_or_insert(error);
                found.leftover.push(name.clone());
                continue;
            }
            Err(error) => return Err(error),
        };
        if header.database_id != database_id {
            let what = "the segment belongs to another database; move it out of the directory";
            return Err(Error::corruption(name.clone(), 24, what));
        }
        let wanted = state.oldest_segment..=state.newest_segment;
        if !wanted.contains(&header.file_id) {
            if header.file_id > state.newest_segment {
                check_never_used(fs, name, header.file_id, state.newest_segment)?;
            }
            found.leftover.push(name.clone());
        } else if state.segment_uids.get(&header.file_id) != Some(&header.file_uid) {
            let what = format!(
                "this is not the log segment {} that the manifest knows: it comes from another \
                 copy of this database; put back the one that belongs here, or salvage what is \
                 left with kv repair",
                header.file_id
            );
            return Err(Error::corruption(name.clone(), FILE_UID_OFFSET, what));
        } else if let Some(other) = found.live.insert(header.file_id, name.clone()) {
            let what = format!("{other} has the same segment id {}", header.file_id);
            return Err(Error::corruption(name.clone(), 40, what));
        }
    }
    let missing: Vec<String> = (state.oldest_segment..=state.newest_segment)
        .filter(|id| !found.live.contains_key(id))
        .map(|id| id.to_string())
        .collect();
    if missing.is_empty() {
        return Ok(found);
    }
    Err(damaged.unwrap_or_else(|| {
        let what = format!(
            "log segment {} is missing; put it back, or salvage what is left with kv repair",
            missing.join(", ")
        );
        Error::corruption(missing_name(&missing), 0, what)
    }))
}

/// A segment takes no record before the manifest knows it, and its successor is
/// not made before either. One that breaks this rule shows that the manifest is
/// an older one than the log goes with: what it does not know must not be
/// removed as leftovers.
fn check_never_used(fs: &dyn Fs, name: &str, id: u64, newest: u64) -> Result<()> {
    let first = LogReader::open(fs, name, FileKind::Wal, SegmentPosition::Last)
        .and_then(|mut reader| reader.next_record().map(|record| record.is_some()));
    let has_record = match first {
        Ok(has_record) => has_record,
        // A creation that was cut short, or whose sync failed, leaves anything.
        Err(Error::Corruption { .. }) => false,
        Err(error) => return Err(error),
    };
    if id == newest + 1 && !has_record {
        return Ok(());
    }
    let what = format!(
        "this is log segment {id}, and the manifest knows none after {newest}: the manifest \
         is damaged or an older copy; restore the one that belongs here from a backup"
    );
    Err(Error::corruption(name, 40, what))
}

fn missing_name(missing: &[String]) -> String {
    missing.first().and_then(|id| id.parse().ok()).map_or_else(String::new, names::sealed_segment)
}

/// What the log put back into memory.
pub(crate) struct Replayed {
    pub(crate) active: Arc<Memtable>,
    pub(crate) writer: MemtableWriter,
    /// Memory tables that were full, newest first.
    pub(crate) frozen: Vec<Arc<Frozen>>,
    pub(crate) last_seqno: SeqNo,
    /// The first segment with a write that is in no table; `None` if all are.
    pub(crate) first_needed: Option<u64>,
    pub(crate) segments: Vec<SegmentReport>,
    pub(crate) batches: u64,
    pub(crate) writes: u64,
}

/// Replays `segments` in order. Writes to the disk only to cut a torn tail.
pub(crate) fn replay(
    env: &Env,
    segments: &BTreeMap<u64, String>,
    loaded: &LoadedManifest,
    options: &Options,
    pool: &ArenaPool,
) -> Result<Replayed> {
    let state = &loaded.state;
    let (active, writer) = Memtable::create(pool, state.flushed_through);
    let mut replayed = Replayed {
        active,
        writer,
        frozen: Vec::new(),
        last_seqno: state.flushed_through,
        first_needed: None,
        segments: Vec::new(),
        batches: 0,
        writes: 0,
    };
    let end = LogEnd::find(&*env.fs, segments, loaded.clean)?;
    let mut sequence = Sequence::after(state.flushed_through);
    for (&id, name) in segments {
        let position = position(id, name);
        let mut reader = LogReader::open(&*env.fs, name, FileKind::Wal, position)?;
        let mut report = SegmentReport { name: name.clone(), id, ..SegmentReport::default() };
        while let Some(record) = reader.next_record()? {
            let batch = DecodedBatch::decode(record.payload, name, record.file_offset)?;
            sequence.check(&batch, name, record.file_offset)?;
            report.records += 1;
            if batch.last_seqno() > state.flushed_through {
                replayed.insert(&batch, id, options, pool);
            }
        }
        end.check_tail(id, name, &reader)?;
        report.damaged_stamps = reader.damaged_stamps();
        report.bytes = reader.good_file_bytes();
        if position == SegmentPosition::Last {
            report.cut = cut_tail(&*env.fs, name, id, &reader)?;
        }
        replayed.segments.push(report);
    }
    replayed.active.publish(replayed.last_seqno);
    Ok(replayed)
}

/// Checks that the batches of all segments follow each other without gaps.
pub(crate) struct Sequence {
    /// What the log must reach back to.
    first_needed: SeqNo,
    expected: Option<SeqNo>,
}

impl Sequence {
    pub(crate) fn after(flushed_through: SeqNo) -> Sequence {
        Sequence { first_needed: flushed_through.plus(1), expected: None }
    }

    /// Behind damage that is known: goes on wherever the next batch does.
    pub(crate) fn behind_damage() -> Sequence {
        Sequence { first_needed: SeqNo::MAX, expected: None }
    }

    pub(crate) fn check(
        &mut self,
        batch: &DecodedBatch<'_>,
        name: &str,
        file_offset: u64,
    ) -> Result<()> {
        let first = batch.first_seqno;
        if first != self.expected.unwrap_or(first.min(self.first_needed)) {
            let what = format!("sequence numbers jump to {first}: a part of the log is missing");
            return Err(Error::corruption(name, file_offset, what));
        }
        self.expected = Some(batch.last_seqno().plus(1));
        Ok(())
    }
}

impl Replayed {
    fn insert(
        &mut self,
        batch: &DecodedBatch<'_>,
        segment: u64,
        options: &Options,
        pool: &ArenaPool,
    ) {
        let size = options.memtable_flush_size;
        if size.fill_percent(self.active.entries(), self.active.bytes() as u64) >= 100 {
            let (active, writer) = Memtable::create(pool, self.last_seqno);
            self.writer = writer;
            let full = std::mem::replace(&mut self.active, active);
            full.publish(self.last_seqno);
            let frozen =
                Frozen { memtable: full, last_seqno: self.last_seqno, next_segment: segment };
            self.frozen.insert(0, Arc::new(frozen));
        }
        self.first_needed.get_or_insert(segment);
        let mut seqno = batch.first_seqno;
        for op in &batch.ops {
            self.writer.insert(seqno, op.kind, op.key, op.value);
            seqno = seqno.plus(1);
        }
        self.last_seqno = batch.last_seqno();
        self.batches += 1;
        self.writes += batch.ops.len() as u64;
    }
}

/// Where the log ends, and how sure that is.
#[derive(Default)]
pub(crate) struct LogEnd {
    /// The last segment that ever took a record or an end mark: those before it
    /// were synced and may not end torn.
    last_used: Option<u64>,
    /// The manifest says that the database was closed properly, which it only
    /// says of a log that has its end mark.
    is_marked: bool,
}

impl LogEnd {
    pub(crate) fn find(
        fs: &dyn Fs,
        segments: &BTreeMap<u64, String>,
        is_marked: bool,
    ) -> Result<LogEnd> {
        for (&id, name) in segments.iter().rev() {
            let mut reader = LogReader::open(fs, name, FileKind::Wal, SegmentPosition::Last)?;
            if reader.next_record()?.is_some() || !matches!(reader.tail(), Some(Tail::Clean)) {
                return Ok(LogEnd { last_used: Some(id), is_marked });
            }
        }
        // With the mark all is gone: it was in the active segment.
        let active = segments.iter().find(|(_, name)| *name == names::ACTIVE_SEGMENT);
        let last_used = active.map(|(&id, _)| id).filter(|_| is_marked);
        Ok(LogEnd { last_used, is_marked })
    }

    /// Refuses an end that no power cut can have left:
    ///
    /// * Zeros at the end of a sealed segment: it was cut behind its last record
    ///   before it got its name, so they were a record.
    /// * The torn end of a segment whose successor was used: it was synced
    ///   before that. Only its end mark was written later, and may be torn; that
    ///   no record is missing in front of it, the sequence numbers show.
    /// * Any end of the log but its mark after a proper close, when nothing was
    ///   being written any more.
    pub(crate) fn check_tail(&self, id: u64, name: &str, reader: &LogReader) -> Result<()> {
        let is_sealed = position(id, name) == SegmentPosition::Sealed;
        if matches!(reader.tail(), Some(Tail::Clean)) && is_sealed && !reader.is_at_file_end() {
            let what = "zeros where the last record of a sealed segment ended: some are missing";
            return Err(Error::corruption(name, reader.good_file_bytes(), what));
        }
        let Some(last) = self.last_used else { return Ok(()) };
        if self.is_marked && id == last && !matches!(reader.tail(), Some(Tail::EndMark)) {
            let what = "the end of the log is damaged: the database was closed properly, and \
                        the mark of that is missing; put the file back, or salvage what is \
                        left with kv repair";
            return Err(Error::corruption(name, reader.good_file_bytes(), what));
        }
        match reader.tail() {
            Some(Tail::Torn { file_offset, discarded_bytes })
                if id < last && discarded_bytes > MAX_END_MARK_BYTES =>
            {
                let what = "a log record is damaged, and a later segment follows";
                Err(Error::corruption(name, file_offset, what))
            }
            _ => Ok(()),
        }
    }
}

/// What a torn end mark takes at most: a record header, and a frame stamp if
/// it crosses into the next frame.
const MAX_END_MARK_BYTES: u64 = 20 + 16;

/// Whether the end of a segment may be torn: not if it has the name of a sealed
/// one, which it gets only once its end is final and durable.
pub(crate) fn position(id: u64, name: &str) -> SegmentPosition {
    if name == names::sealed_segment(id) { SegmentPosition::Sealed } else { SegmentPosition::Last }
}

/// Cuts what is behind the last good record, after setting torn bytes aside.
/// Also makes the good part durable: it is about to be shown to readers, and
/// to get the name of a sealed segment.
fn cut_tail(fs: &dyn Fs, name: &str, id: u64, reader: &LogReader) -> Result<Option<CutTail>> {
    let good = reader.good_file_bytes();
    let cut = match reader.tail() {
        Some(Tail::Torn { .. }) => Some(set_aside(fs, name, id, good)?),
        _ => None,
    };
    match fs.truncate(name, good) {
        // The file was sealed, just not renamed yet: it is final and durable.
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {}
        outcome => outcome?,
    }
    Ok(cut)
}

fn set_aside(fs: &dyn Fs, name: &str, id: u64, from: u64) -> Result<CutTail> {
    let bytes = fs.open(name)?.read_all()?;
    let tail = bytes.get(from as usize..).unwrap_or_default();
    let used = tail.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    if used == 0 {
        return Ok(CutTail { offset: from, bytes: 0, kept_as: None });
    }
    let kept = format!("{QUARANTINE}/{}.{from}", names::sealed_segment(id));
    fs.create_dir(QUARANTINE)?;
    // A recovery that was interrupted here may have left a part of it.
    match fs.remove(&kept) {
        Err(error) if !error.is_not_found() => return Err(error),
        _ => {}
    }
    let mut file = fs.create(&kept)?;
    file.append(&tail[..used])?;
    file.sync()?;
    // The copy is durable, and so is its name, before the original is cut.
    fs.sync_dir()?;
    Ok(CutTail { offset: from, bytes: used as u64, kept_as: Some(kept) })
}
