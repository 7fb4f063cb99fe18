//! Reading the manifest at open.

use std::io;
use std::sync::Arc;

use kv_compaction::{TableMeta, Version, VersionEdit};
use kv_core::{ChecksumSeed, DatabaseId, Error, FileKind, Result, SeqNo};
use kv_env::{Env, Fs};
use kv_wal::{LogReader, Record, SegmentPosition, Tail, read_header};

use crate::manifest::ManifestState;
use crate::names::{self, FileName, MAX_NUMBER};

/// Where a file header holds the id.
const FILE_ID_OFFSET: u64 = 40;

/// The highest number of a write that a manifest may name: half of the range is more
/// than anybody comes to, and the other half is left for writes to come.
const MAX_FLUSHED: SeqNo = SeqNo(SeqNo::MAX.0 / 2);

/// What the manifest said.
pub(crate) struct LoadedManifest {
    /// Highest number any manifest file has, valid or not; 0 without one.
    pub(crate) highest_id: u64,
    /// Name of the one that was read; empty for a new database.
    pub(crate) name: String,
    pub(crate) database_id: DatabaseId,
    pub(crate) state: ManifestState,
    pub(crate) version: Version<TableMeta>,
    /// True if it ends with the mark of a proper close.
    pub(crate) clean: bool,
}

impl LoadedManifest {
    /// The files of all tables.
    pub(crate) fn table_names(&self) -> Vec<String> {
        self.version.tables().map(|(_, meta)| meta.file_name()).collect()
    }
}

/// Reads the highest valid manifest; `None` if none was ever finished.
///
/// A manifest without an intact header or first record was never finished:
/// its predecessor still counts, and before there was one there was nothing
/// else either. Its sectors may also show a manifest that was removed before, of
/// ours or, where it has no record, of any database. Any other damage is refused.
pub(crate) fn load_manifest(env: &Env, listing: &Listing) -> Result<Option<LoadedManifest>> {
    let mut descending = listing.manifests.clone();
    descending.sort_unstable_by(|a, b| b.cmp(a));
    let highest_id = descending.first().copied().unwrap_or(0);
    let has_data = !listing.segments.is_empty() || !listing.tables.is_empty();
    let mut older = None;
    for (index, &id) in descending.iter().enumerate() {
        let has_predecessor = index + 1 < descending.len();
        match read_manifest(&*env.fs, id, highest_id) {
            Ok(Some(loaded)) => return give_way(older, loaded).map(Some),
            Ok(None) => {}
            Err(Error::Corruption { offset: 0, .. }) if has_predecessor || !has_data => {}
            Err(error @ Error::Corruption { offset: FILE_ID_OFFSET, .. }) if has_predecessor => {
                let header = read_header(&*env.fs, &names::manifest(id), FileKind::Manifest)?;
                if !holds_a_record(&*env.fs, &names::manifest(id))? {
                    // Whatever its sectors held before, nobody has finished it.
                    continue;
                }
                if header.file_id > id {
                    return Err(error);
                }
                older.get_or_insert((header.database_id, error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Whether the first record of a manifest is intact, whoever wrote it.
fn holds_a_record(fs: &dyn Fs, name: &str) -> Result<bool> {
    let mut reader = LogReader::open(fs, name, FileKind::Manifest, SegmentPosition::Last)?;
    match reader.next_record() {
        Ok(record) => Ok(record.is_some()),
        Err(Error::Corruption { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A file with the header of an older manifest gives way to its predecessor if
/// both are of the same database; else somebody has put it there.
fn give_way(
    older: Option<(DatabaseId, Error)>,
    predecessor: LoadedManifest,
) -> Result<LoadedManifest> {
    match older {
        Some((database_id, error)) if database_id != predecessor.database_id => Err(error),
        _ => Ok(predecessor),
    }
}

/// Reads one manifest; `None` if it does not even hold its first record.
fn read_manifest(fs: &dyn Fs, id: u64, highest_id: u64) -> Result<Option<LoadedManifest>> {
    let name = names::manifest(id);
    let mut reader = LogReader::open(fs, &name, FileKind::Manifest, SegmentPosition::Last)?;
    let header = reader.header();
    if header.file_id != id {
        let what = format!("the header says manifest {}", header.file_id);
        // Not at 0: it was finished, so it does not just give way to another.
        return Err(Error::corruption(name, FILE_ID_OFFSET, what));
    }
    let mut loaded = LoadedManifest {
        highest_id,
        name: name.clone(),
        database_id: header.database_id,
        state: ManifestState::default(),
        version: Version::new(),
        clean: false,
    };
    let mut records = 0;
    while let Some(record) = reader.next_record()? {
        let edit = decode_edit(&record, header.seed(), &name)?;
        let next = loaded.version.apply(&edit, |meta| Ok(Arc::new(meta.clone())));
        loaded.version = next.map_err(|error| {
            // The edit is what was stored, so the file is at fault.
            Error::corruption(name.clone(), record.file_offset, error.to_string())
        })?;
        loaded.state.apply(&edit);
        records += 1;
    }
    if records > 0 && reader.is_cut_short() {
        let what = "the file was longer: its end was cut off, and not by a crash";
        return Err(Error::corruption(name, reader.good_file_bytes(), what));
    }
    loaded.clean = matches!(reader.tail(), Some(Tail::EndMark));
    Ok((records > 0).then_some(loaded))
}

/// Decodes an edit. Its checksum is seeded with its place in the stream; an
/// error names its place in the file.
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

/// The files of a directory by kind.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) manifests: Vec<u64>,
    pub(crate) segments: Vec<String>,
    /// Id and name of every table file.
    pub(crate) tables: Vec<(u64, String)>,
    pub(crate) foreign: Vec<String>,
}

impl Listing {
    /// Sorts the directory's entries.
    ///
    /// # Errors
    /// `Io` if a link, a pipe or a directory has a name that is reserved for a
    /// file of ours: somebody has put it there, and nothing of it can be trusted.
    pub(crate) fn read(fs: &dyn Fs) -> Result<Listing> {
        let mut listing = Listing::default();
        for entry in fs.list()? {
            let name = FileName::parse(&entry.name);
            match name {
                Some(
                    FileName::Manifest(_)
                    | FileName::Segment
                    | FileName::Table(_)
                    | FileName::Reserve,
                ) if !entry.is_regular_file => {
                    let what = "a link, a pipe or a directory has the name of a database file; \
                                move it away";
                    let path = format!("{}/{}", fs.describe(), entry.name);
                    let error = io::Error::new(io::ErrorKind::InvalidInput, what);
                    return Err(Error::io("open", path, error));
                }
                Some(FileName::Lock | FileName::Reserve | FileName::Quarantine) => {}
                Some(FileName::Manifest(id)) => listing.manifests.push(id),
                Some(FileName::Segment) => listing.segments.push(entry.name),
                Some(FileName::Table(id)) => listing.tables.push((id, entry.name)),
                None => listing.foreign.push(entry.name),
            }
        }
        Ok(listing)
    }

    /// True if there is no file of a database.
    pub(crate) fn is_empty(&self) -> bool {
        self.manifests.is_empty() && self.segments.is_empty() && self.tables.is_empty()
    }
}
