//! The log of the source: segments in order, past damage, into tables that the
//! merge can read.

use std::sync::Arc;

use kv_core::{
    DatabaseId, DecodedBatch, Error, FILE_HEADER_BYTES, FileHeader, FileKind, Result, SeqNo,
    check_key, check_value,
};
use kv_env::{Fs, ReadFile};
use kv_wal::{LogReader, SalvageReader, Salvaged, SegmentPosition, Tail};

use crate::lenient::{self, FoundHeader};
use crate::names;
use crate::quarantine;
use crate::repair::catalog::Catalog;
use crate::repair::report::{
    DamagedRange, FileUse, LostWrites, ManifestState, RepairReport, RepairedFile, RepairedKind,
};
use crate::repair::spill::Spill;
use crate::segment_survey::MAX_MISSING;

/// A segment of the source whose header is known.
struct Segment {
    name: String,
    header: FileHeader,
    is_header_damaged: bool,
}

/// The segments of the source.
#[derive(Default)]
pub(super) struct Segments {
    found: Vec<Segment>,
    unreadable: Vec<(String, u64)>,
    pub(super) database_ids: Vec<DatabaseId>,
}

impl Segments {
    /// Reads the headers of the segments `names`.
    pub(super) fn find(fs: &dyn Fs, names: &[String]) -> Result<Segments> {
        let mut segments = Segments::default();
        for name in names {
            let file = lenient::open(fs, name)?;
            let found = lenient::read_header(&*file, FileKind::Wal, name)?;
            match found.header() {
                Some(header) => {
                    let is_header_damaged = !matches!(found, FoundHeader::Intact(_));
                    let name = name.clone();
                    segments.database_ids.push(header.database_id);
                    segments.found.push(Segment { name, header, is_header_damaged });
                }
                None => segments.unreadable.push((name.clone(), file.len())),
            }
        }
        segments.sort();
        Ok(segments)
    }

    /// Compares the segments with the identities that the manifest knows: one
    /// without a header may be one that is missing, as a record in it proves.
    pub(super) fn identify(&mut self, fs: &dyn Fs, catalog: &Catalog) -> Result<()> {
        let Some(database_id) = catalog.database_id else { return Ok(()) };
        for (name, bytes) in std::mem::take(&mut self.unreadable) {
            let mut identity = None;
            for (&file_id, &file_uid) in &catalog.numbers.segment_uids {
                let header = FileHeader { kind: FileKind::Wal, database_id, file_id, file_uid };
                let is_missing = self.found.iter().all(|other| other.header != header);
                if is_missing && has_record(fs, &name, header)? {
                    identity = Some(header);
                }
            }
            match identity {
                Some(header) => {
                    let is_header_damaged = true;
                    self.found.push(Segment { name, header, is_header_damaged });
                }
                None => self.unreadable.push((name, bytes)),
            }
        }
        self.sort();
        Ok(())
    }

    fn sort(&mut self) {
        self.found.sort_by(|a, b| {
            a.header.file_id.cmp(&b.header.file_id).then_with(|| a.name.cmp(&b.name))
        });
    }

    /// A segment takes no record before the manifest knows it: the name of one
    /// that did, if the manifest is an older copy.
    pub(super) fn unknown_to(&self, fs: &dyn Fs, catalog: &Catalog) -> Result<Option<&str>> {
        for segment in &self.found {
            if segment.header.file_id > catalog.numbers.newest_segment
                && catalog.database_id == Some(segment.header.database_id)
                && has_record(fs, &segment.name, segment.header)?
            {
                return Ok(Some(&segment.name));
            }
        }
        Ok(None)
    }
}

/// True if the file holds an intact record, read with this header.
fn has_record(fs: &dyn Fs, name: &str, header: FileHeader) -> Result<bool> {
    let mut reader = SalvageReader::new(lenient::open(fs, name)?, name, header)?;
    while let Some(part) = reader.next_part()? {
        if let Salvaged::Record(_) = part {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Which writes of the log are taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Writes up to here are in tables for sure: older ones are not taken, for
    /// their deletes may be gone.
    pub(super) after: SeqNo,
    /// Writes up to here are in tables, as far as anybody knows: none of them
    /// counts as lost if the log lacks it.
    pub(super) covered: SeqNo,
    /// Nothing behind the first lost write.
    pub(super) prefix_only: bool,
}

/// How reading a segment ended.
struct End {
    /// Behind the last intact record: where the file would end with it.
    offset: u64,
    /// True if it ended with damage.
    is_gap: bool,
    /// True if it holds writes that are not in tables for sure.
    is_wanted: bool,
    /// The last write that was taken; 0 if none was.
    taken_through: SeqNo,
}

/// Reads the log.
pub(super) struct LogSalvage<'a, 'b> {
    pub(super) fs: &'a dyn Fs,
    pub(super) catalog: &'a Catalog,
    pub(super) database_id: DatabaseId,
    pub(super) wanted: Wanted,
    pub(super) report: &'a mut RepairReport,
    pub(super) spill: &'a mut Spill<'b>,
    /// The number that the next write must have, whether those before it were
    /// taken or just read.
    pub(super) expected: SeqNo,
    /// The gap that the last segment ended with: file and range in the report.
    pub(super) trailing: Option<(usize, usize)>,
    /// The last segment that a record was read of.
    pub(super) last_read: Option<u64>,
}

impl LogSalvage<'_, '_> {
    /// Takes all that is wanted of `segments`; says how far what is in tables and
    /// what was taken reaches.
    pub(super) fn run(&mut self, segments: &Segments) -> Result<SeqNo> {
        let mut taken_through = self.wanted.covered;
        let last_used = self.last_used(segments)?;
        for segment in &segments.found {
            if self.is_ours(segment) {
                taken_through = taken_through.max(self.segment(segment, last_used)?);
            } else {
                self.report.foreign.push(segment.name.clone());
            }
        }
        self.note_missing(segments);
        Ok(taken_through)
    }

    /// False for a segment of another database, or of another copy of this one.
    fn is_ours(&self, segment: &Segment) -> bool {
        let header = &segment.header;
        let known = self.catalog.numbers.segment_uids.get(&header.file_id);
        header.database_id == self.database_id && known.is_none_or(|uid| *uid == header.file_uid)
    }

    /// The last segment with a record, whose end a crash may have torn.
    fn last_used(&self, segments: &Segments) -> Result<Option<u64>> {
        for segment in segments.found.iter().rev().filter(|segment| self.is_ours(segment)) {
            let file = lenient::open(self.fs, &segment.name)?;
            let mut reader = SalvageReader::new(file, &segment.name, segment.header)?;
            let mut part = reader.next_part()?;
            // What stands in the header's page was never a record.
            if let Some(Salvaged::Gap(gap)) = part
                && gap.file_offset < kv_wal::Lsn::START.file_end()
            {
                part = reader.next_part()?;
            }
            if part.is_some() || reader.is_finished() || reader.is_short() {
                return Ok(Some(segment.header.file_id));
            }
        }
        Ok(None)
    }

    /// Takes what is wanted of a segment; returns the last write that was taken.
    fn segment(&mut self, segment: &Segment, last_used: Option<u64>) -> Result<SeqNo> {
        let Segment { name, header, .. } = segment;
        let file = lenient::open(self.fs, name)?;
        let kind = RepairedKind::Segment;
        let mut seen = RepairedFile::new(name.clone(), kind, FileUse::Used, file.len());
        if segment.is_header_damaged {
            let reason = "the header of the file is damaged";
            seen.damage.push(DamagedRange::new(0, FILE_HEADER_BYTES as u64, reason, false));
        }
        let is_last = last_used == Some(header.file_id);
        let torn_from = if is_last && !self.catalog.is_clean { self.torn_from(name) } else { None };
        let source = Arc::clone(&file) as Arc<dyn ReadFile>;
        let mut reader = SalvageReader::new(source, name, *header)?;
        let end = self.records(&mut reader, torn_from, &mut seen)?;
        if seen.records > 0 {
            self.last_read = Some(header.file_id);
        }
        if let Some(torn_from) = torn_from {
            seen.torn_bytes = quarantine::used_end(&*file, torn_from)? - torn_from;
        }
        if is_last && !reader.is_finished() {
            let is_active = *name != names::sealed_segment(header.file_id);
            if end.is_gap {
                self.note_open_end(name);
            } else if self.is_end_missing(header.file_id, &end, is_active && reader.is_short()) {
                let reason = "the end of the log is missing";
                seen.damage.push(DamagedRange::new(end.offset, 0, reason, true));
                self.note_open_end(name);
            }
        }
        for range in file.unreadable() {
            let (bytes, reason) = (range.end - range.start, "the device cannot read this part");
            seen.damage.push(DamagedRange::new(range.start, bytes, reason, false));
        }
        let is_live = header.file_id >= self.catalog.numbers.oldest_segment;
        if !is_live && !end.is_wanted && !seen.loses_data() {
            seen.used = FileUse::NotNeeded;
        }
        self.report.files.push(seen);
        Ok(end.taken_through)
    }

    /// Whether something behind the last record of an unfinished segment is
    /// gone. `is_short` says that it is active and shorter than it was made.
    fn is_end_missing(&self, id: u64, end: &End, is_short: bool) -> bool {
        match self.catalog.numbers.segment_ends.get(&id) {
            Some(&recorded) => end.offset < recorded,
            None => self.catalog.is_clean || is_short,
        }
    }

    /// Reads the records of a segment up to where it is torn.
    fn records(
        &mut self,
        reader: &mut SalvageReader,
        torn_from: Option<u64>,
        seen: &mut RepairedFile,
    ) -> Result<End> {
        let name = seen.name.clone();
        let mut end = End {
            offset: kv_wal::Lsn::START.file_end(),
            is_gap: false,
            is_wanted: false,
            taken_through: SeqNo::ZERO,
        };
        let mut gap: Option<DamagedRange> = None;
        while let Some(part) = reader.next_part()? {
            match part {
                Salvaged::Gap(found) if torn_from == Some(found.file_offset) => break,
                Salvaged::Gap(found) => {
                    self.close_gap(gap.take(), None, seen);
                    let (offset, bytes) = (found.file_offset, found.bytes);
                    gap = Some(DamagedRange::new(offset, bytes, found.what, true));
                }
                Salvaged::Record(record) => {
                    let offset = record.file_offset;
                    end.offset = record.file_end();
                    match decode(record.payload, &name, offset) {
                        Ok(batch) => {
                            self.close_gap(gap.take(), Some(batch.first_seqno), seen);
                            self.close_trailing(batch.first_seqno);
                            seen.records += 1;
                            seen.entries += batch.ops.len() as u64;
                            self.take(&batch, &name, &mut end)?;
                        }
                        Err(error) => {
                            let (bytes, reason) = (end.offset - offset, error.to_string());
                            seen.damage.push(DamagedRange::new(offset, bytes, reason, true));
                        }
                    }
                }
            }
        }
        end.is_gap = gap.is_some();
        self.close_gap(gap, None, seen);
        if end.is_gap {
            self.trailing = Some((self.report.files.len(), seen.damage.len() - 1));
        }
        Ok(end)
    }

    /// Notes a gap. If the write behind it is the one that is expected, or one
    /// that tables have, nothing that counts was in it.
    fn close_gap(&self, gap: Option<DamagedRange>, next: Option<SeqNo>, seen: &mut RepairedFile) {
        let Some(mut gap) = gap else { return };
        gap.loses_data = next.is_none_or(|next| next > self.expected);
        seen.damage.push(gap);
    }

    /// The same for a gap at the end of a segment, at the first record of a
    /// later one.
    fn close_trailing(&mut self, next: SeqNo) {
        let Some((file, range)) = self.trailing.take() else { return };
        self.report.files[file].damage[range].loses_data = next > self.expected;
    }

    /// Behind the last record that could be read there was more.
    fn note_open_end(&mut self, name: &str) {
        self.report.lost_writes.push(LostWrites {
            first: self.expected.0,
            last: None,
            segment: Some(name.into()),
        });
    }

    /// Takes a batch, unless it is not wanted.
    fn take(&mut self, batch: &DecodedBatch<'_>, segment: &str, end: &mut End) -> Result<()> {
        if batch.ops.is_empty() || batch.last_seqno() <= self.wanted.after {
            return Ok(());
        }
        end.is_wanted = true;
        if batch.first_seqno > self.expected {
            self.report.lost_writes.push(LostWrites {
                first: self.expected.0,
                last: Some(batch.first_seqno.0 - 1),
                segment: Some(segment.into()),
            });
        }
        // Also by what is not taken: it is no loss either.
        self.expected = self.expected.max(batch.last_seqno().plus(1));
        if self.wanted.prefix_only && !self.report.lost_writes.is_empty() {
            self.report.writes_behind_gap += batch.ops.len() as u64;
            return Ok(());
        }
        end.taken_through = end.taken_through.max(batch.last_seqno());
        self.spill.add(batch)
    }

    /// Where an open would cut the segment because a crash has torn its end.
    fn torn_from(&self, name: &str) -> Option<u64> {
        let position = SegmentPosition::Last;
        let mut reader = LogReader::open(self.fs, name, FileKind::Wal, position).ok()?;
        while let Ok(Some(_)) = reader.next_record() {}
        match reader.tail() {
            Some(Tail::Torn { file_offset, .. }) => Some(file_offset),
            _ => None,
        }
    }

    /// Segments that the manifest asks for and that are not there.
    fn note_missing(&mut self, segments: &Segments) {
        let numbers = &self.catalog.numbers;
        let has = |id: u64| {
            let mut found = segments.found.iter();
            found.any(|segment| segment.header.file_id == id && self.is_ours(segment))
        };
        // Without a whole manifest nobody knows which is the oldest: only those
        // count that an intact edit has brought in.
        let known = numbers.segment_uids.keys().copied();
        let asked_for: Box<dyn Iterator<Item = u64>> = match self.catalog.state {
            ManifestState::Whole => Box::new(numbers.oldest_segment..=numbers.newest_segment),
            ManifestState::Partial => Box::new(known.filter(|id| *id >= numbers.oldest_segment)),
            ManifestState::Lost => Box::new(std::iter::empty()),
        };
        let missing: Vec<u64> = asked_for.filter(|&id| !has(id)).take(MAX_MISSING).collect();
        // Where a later segment goes on, the numbers of its writes show the gap.
        let is_last = |id: &&u64| self.last_read.is_none_or(|last| **id > last);
        let open_end = missing.iter().find(is_last).copied();
        for (name, bytes) in &segments.unreadable {
            // A crash may cut the creation of a segment short: then nobody
            // misses it.
            let is_needed = !missing.is_empty() || self.catalog.state != ManifestState::Whole;
            let used = if is_needed { FileUse::Unreadable } else { FileUse::NotNeeded };
            let mut file = RepairedFile::new(name.clone(), RepairedKind::Segment, used, *bytes);
            if is_needed {
                let reason = "the header of the segment is damaged";
                file.damage.push(DamagedRange::new(0, *bytes, reason, true));
            }
            self.report.files.push(file);
        }
        let unreadable = segments.unreadable.len();
        if let Some(id) = open_end {
            self.report.lost_writes.push(LostWrites {
                first: self.expected.0,
                last: None,
                segment: Some(names::sealed_segment(id)),
            });
        }
        // Those with a damaged header are listed under their names.
        for id in missing.into_iter().skip(unreadable) {
            let name = names::sealed_segment(id);
            let kind = RepairedKind::Segment;
            self.report.files.push(RepairedFile::new(name, kind, FileUse::Missing, 0));
        }
    }
}

/// A batch that a writer may have written, bounds of keys and values included.
fn decode<'a>(payload: &'a [u8], name: &str, file_offset: u64) -> Result<DecodedBatch<'a>, Error> {
    let batch = DecodedBatch::decode(payload, name, file_offset)?;
    if batch.first_seqno == SeqNo::ZERO {
        return Err(Error::corruption(name, file_offset, "no write has the number 0"));
    }
    for op in &batch.ops {
        check_key(op.key)?;
        check_value(op.value)?;
    }
    Ok(batch)
}
