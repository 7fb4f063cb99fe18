//! Replaying the log at open: segments in order, records into memory tables.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use kv_core::{DecodedBatch, Error, Result, SeqNo};
use kv_env::{Env, Fs};
use kv_memtable::{ArenaPool, Memtable, MemtableWriter};

use crate::manifest_load::LoadedManifest;
use crate::names::{self, QUARANTINE};
use crate::options::Options;
use crate::quarantine;
use crate::report::{CutTail, SegmentReport};
use crate::segment_reader::{LogEnd, SegmentReader};
use crate::view::Frozen;

/// The segments of a log from which on an open has all that they hold flushed,
/// so that they go. Every open begins a segment, and where few writes come
/// between two of them no memory table is ever full: each segment costs the next
/// open some calls and the manifest an entry. With so many one open in sixteen
/// writes a table.
pub(crate) const MANY_SEGMENTS: usize = 16;

/// What the log put back into memory.
pub(crate) struct Replayed {
    pub(crate) active: Arc<Memtable>,
    pub(crate) writer: MemtableWriter,
    /// Memory tables that were full, newest first, and the last one if the log has
    /// many segments.
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
    let log_end = LogEnd::find(&*env.fs, segments, state, loaded.clean)?;
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
    if replayed.first_needed.is_some_and(|first| segments.range(first..).count() >= MANY_SEGMENTS) {
        replayed.freeze(state.newest_segment + 1, pool);
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
            self.freeze(segment, pool);
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

    /// Puts an empty memory table in place of the active one, all of whose writes
    /// are in segments up to `next_segment`.
    fn freeze(&mut self, next_segment: u64, pool: &ArenaPool) {
        let (active, writer) = Memtable::create(pool, self.last_seqno);
        self.writer = writer;
        let memtable = std::mem::replace(&mut self.active, active);
        memtable.publish(self.last_seqno);
        let frozen = Frozen { memtable, last_seqno: self.last_seqno, next_segment };
        self.frozen.insert(0, Arc::new(frozen));
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
    let file = fs.open(name)?;
    let end = quarantine::used_end(&*file, from)?;
    if end == from {
        return Ok(CutTail { offset: from, bytes: 0, kept_as: None });
    }
    let kept = names::part_in_quarantine(&names::sealed_segment(id), from);
    fs.create_dir(QUARANTINE)?;
    // A recovery that was interrupted here may have left a part of it.
    match fs.remove(&kept) {
        Err(error) if !error.is_not_found() => return Err(error),
        _ => {}
    }
    quarantine::copy((name, &*file), from..end, fs, &kept)?;
    // The copy is durable, and so is its name, before the original is cut.
    fs.sync_dir()?;
    Ok(CutTail { offset: from, bytes: end - from, kept_as: Some(kept) })
}
