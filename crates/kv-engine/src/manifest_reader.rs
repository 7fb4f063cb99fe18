//! Reading the edits of one manifest file, each put together from its records.

use kv_compaction::{EditAssembly, VersionEdit};
use kv_core::{ChecksumSeed, Error, FileHeader, FileKind, Result, SeqNo};
use kv_env::Fs;
use kv_wal::{LogReader, Record, SalvageReader, Salvaged, SegmentPosition, Tail, read_header};

use crate::names::MAX_NUMBER;

/// The highest number of a write that a manifest may name: half of the range is more
/// than anybody comes to, and the other half is left for writes to come.
const MAX_FLUSHED: SeqNo = SeqNo(SeqNo::MAX.0 / 2);

/// An edit and where its last record starts in the file.
pub(crate) struct LocatedEdit {
    pub(crate) edit: VersionEdit,
    pub(crate) file_offset: u64,
}

/// Reads a manifest front to back.
pub(crate) struct ManifestReader {
    log: LogReader,
    name: String,
    assembly: EditAssembly,
}

impl ManifestReader {
    /// Opens manifest `name`, whatever number its header says.
    pub(crate) fn open(fs: &dyn Fs, name: &str) -> Result<ManifestReader> {
        let log = LogReader::open(fs, name, FileKind::Manifest, SegmentPosition::Last)?;
        Ok(ManifestReader { log, name: name.into(), assembly: EditAssembly::default() })
    }

    pub(crate) fn header(&self) -> FileHeader {
        self.log.header()
    }

    /// The log behind the edits, which tells how it ends.
    pub(crate) fn log(&self) -> &LogReader {
        &self.log
    }

    /// The next edit all of whose records are there; `None` at the end.
    ///
    /// # Errors
    /// `Corruption` where the file is damaged.
    pub(crate) fn next_edit(&mut self) -> Result<Option<LocatedEdit>> {
        let seed = self.log.header().seed();
        while let Some(record) = self.log.next_record()? {
            let file_offset = record.file_offset;
            let part = decode_edit(&record, seed, &self.name)?;
            let whole = self.assembly.add(part).map_err(|error| {
                Error::corruption(self.name.clone(), file_offset, error.to_string())
            })?;
            if let Some(edit) = whole {
                return Ok(Some(LocatedEdit { edit, file_offset }));
            }
        }
        if self.assembly.is_in_between() && self.log.tail() == Some(Tail::EndMark) {
            let what = "the manifest ends in the middle of an edit, and not by a crash";
            return Err(Error::corruption(&*self.name, self.log.good_file_bytes(), what));
        }
        Ok(None)
    }
}

/// Whether all of the snapshot that a manifest begins with is intact, whoever wrote
/// it. A record that is intact and cannot be understood was written by somebody.
pub(crate) fn holds_a_snapshot(fs: &dyn Fs, name: &str) -> Result<bool> {
    let mut log = LogReader::open(fs, name, FileKind::Manifest, SegmentPosition::Last)?;
    let seed = log.header().seed();
    loop {
        match log.next_record() {
            Ok(Some(record)) => match decode_edit(&record, seed, name) {
                Ok(part) if part.records_left() > 0 => {}
                _ => return Ok(true),
            },
            Ok(None) | Err(Error::Corruption { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// Whether a manifest has taken an edit behind its snapshot or was closed, as any
/// intact record shows that is none of a snapshot, wherever it stands.
pub(crate) fn was_in_use(fs: &dyn Fs, name: &str) -> Result<bool> {
    let header = read_header(fs, name, FileKind::Manifest)?;
    let mut reader = SalvageReader::new(fs.open(name)?, name, header)?;
    while let Some(part) = reader.next_part()? {
        let Salvaged::Record(record) = part else { continue };
        let edit = decode_edit(&record, header.seed(), name);
        if !edit.is_ok_and(|edit| edit.database.is_some()) {
            return Ok(true);
        }
    }
    Ok(reader.is_finished())
}

/// Decodes an edit or a record of one. Its checksum is seeded with its place in the
/// stream; an error names its place in the file.
pub(crate) fn decode_edit(
    record: &Record<'_>,
    seed: ChecksumSeed,
    name: &str,
) -> Result<VersionEdit> {
    let edit = VersionEdit::decode(record.payload, seed, record.lsn.0, name);
    let edit = edit.map_err(|error| match error {
        Error::Corruption { file, what, .. } => Error::corruption(file, record.file_offset, what),
        other => other,
    })?;
    let tables = edit.added.iter().map(|(_, meta)| meta.id).chain(edit.next_file_id);
    let segments = edit.oldest_segment.into_iter().chain(edit.newest_segment);
    let segments = segments.chain(edit.segment_uids.iter().map(|&(id, _)| id));
    let segments = segments.chain(edit.segment_ends.iter().map(|&(id, _)| id));
    let is_endless = tables.chain(segments).any(|id| id > MAX_NUMBER);
    if is_endless || edit.flushed_through.is_some_and(|seqno| seqno > MAX_FLUSHED) {
        let what = "an edit holds a number that no database comes to";
        return Err(Error::corruption(name, record.file_offset, what));
    }
    Ok(edit)
}
