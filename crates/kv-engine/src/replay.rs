//! Replaying the log at open: segments in order, records into memory tables.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use kv_core::{DatabaseId, DecodedBatch, Error, FileKind, Result, SeqNo};
use kv_env::{Env, Fs};
use kv_memtable::{ArenaPool, Memtable, MemtableWriter};
use kv_wal::{LogReader, SegmentPosition, read_header};

use crate::manifest::ManifestState;
use crate::manifest_load::LoadedManifest;
use crate::names::{self, QUARANTINE};
use crate::options::Options;
use crate::report::{CutTail, SegmentReport};
use crate::segment_reader::{LogEnd, SegmentReader};
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
            let error = Error::corruption(name.clone(), FILE_UID_OFFSET, what);
            if ![names::ACTIVE_SEGMENT, names::NEXT_SEGMENT].contains(&name.as_str()) {
                return Err(error);
            }
            // A creation that was cut short may show what the disk held before:
            // the header of a segment that was given up when its number was
            // still free. None is missing then, and else this one is to blame.
            damaged.get_or_insert(error);
            found.leftover.push(name.clone());
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
    /// Where the segments end that have no end mark, in bytes of the file.
    pub(crate) ends: BTreeMap<u64, u64>,
}

/// Replays `segments` in order. Changes none of them; only what is torn is
/// copied aside.
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
        ends: BTreeMap::new(),
    };
    let log_end = LogEnd::find(&*env.fs, segments, loaded)?;
    let mut sequence = Sequence::after(state.flushed_through);
    for (&id, name) in segments {
        let mut reader = SegmentReader::open(&*env.fs, id, name, state)?;
        let mut report = SegmentReport { name: name.clone(), id, ..SegmentReport::default() };
        while let Some(record) = reader.next_record()? {
            let batch = DecodedBatch::decode(record.payload, name, record.file_offset)?;
            sequence.check(&batch, name, record.file_offset)?;
            report.records += 1;
            if batch.last_seqno() > state.flushed_through {
                replayed.insert(&batch, id, options, pool);
            }
        }
        reader.check_end(&log_end)?;
        report.damaged_stamps = reader.damaged_stamps();
        report.bytes = reader.good_file_bytes();
        if reader.torn_bytes().is_some() {
            report.cut = Some(set_aside(&*env.fs, name, id, reader.good_file_bytes())?);
        }
        if !reader.is_marked() {
            replayed.ends.insert(id, reader.good_file_bytes());
        }
        // What was read is about to be shown, and named by a manifest as the
        // whole of the segment: it has to be durable.
        if reader.needs_sync() {
            let len = env.fs.open(name)?.len();
            cut(&*env.fs, name, len)?;
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

/// Gives a segment its final length, and makes it durable.
pub(crate) fn cut(fs: &dyn Fs, name: &str, bytes: u64) -> Result<()> {
    match fs.truncate(name, bytes) {
        // The file is sealed: it is final and durable.
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        outcome => outcome,
    }
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
