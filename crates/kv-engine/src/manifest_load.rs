//! Which manifest counts at open, and what it says.

use std::io;
use std::sync::Arc;

use kv_compaction::{TableMeta, Version};
use kv_core::{DatabaseId, Error, FileKind, Result};
use kv_env::{Env, Fs};
use kv_wal::{Tail, read_header};

use crate::manifest::ManifestState;
use crate::manifest_reader::{LocatedEdit, ManifestReader, holds_a_snapshot, was_in_use};
use crate::names::{self, FileName};

/// Where a file header holds the id.
const FILE_ID_OFFSET: u64 = 40;

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
/// A manifest without an intact header or without all of its snapshot was never
/// finished: its predecessor still counts, and before there was one there was
/// nothing else either. Its sectors may also show a manifest that was removed
/// before, of ours or, where its snapshot is not whole, of any database; or, where
/// the file system makes a file longer before it writes to it, anything. Any other
/// damage is refused.
pub(crate) fn load_manifest(env: &Env, listing: &Listing) -> Result<Option<LoadedManifest>> {
    let mut descending = listing.manifests.clone();
    descending.sort_unstable_by(|a, b| b.cmp(a));
    let highest_id = descending.first().copied().unwrap_or(0);
    let has_data = !listing.segments.is_empty() || !listing.tables.is_empty();
    let mut older = None;
    for (index, &id) in descending.iter().enumerate() {
        let predecessor = descending.get(index + 1).copied();
        match read_manifest(&*env.fs, id, highest_id) {
            Ok(Some(loaded)) => return give_way(older, loaded).map(Some),
            Ok(None) => {}
            Err(Error::Corruption { offset: 0, .. }) if predecessor.is_some() || !has_data => {}
            Err(error @ Error::Corruption { offset: FILE_ID_OFFSET, .. })
                if predecessor.is_some() =>
            {
                let header = read_header(&*env.fs, &names::manifest(id), FileKind::Manifest)?;
                if !holds_a_snapshot(&*env.fs, &names::manifest(id))? {
                    // Whatever its sectors held before, nobody has finished it.
                    continue;
                }
                if header.file_id > id {
                    return Err(error);
                }
                older.get_or_insert((header.database_id, error));
            }
            Err(error @ Error::Corruption { .. }) => {
                let is_second = predecessor.is_some_and(|before| before + 1 == id);
                let may_be_unfinished = is_second || !has_data;
                if !may_be_unfinished || !was_never_finished(&*env.fs, &names::manifest(id))? {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Whether the creation of a manifest whose records are damaged has not come to its
/// end, as far as the file shows.
///
/// The one before it is as good then: it is removed, durably, before the new one
/// takes an edit or a file is changed by what that says, at an open, at every rotation
/// and where a damaged one is replaced.
///
/// A whole snapshot that has rotted looks the same if nothing behind it is intact, and
/// with a predecessor that somebody has put back the open does go back to that. Only if
/// all tables and segments that it names are still there, though, and no segment with
/// writes that it does not know: so it says the same, in other tables and segments, or
/// it is refused.
fn was_never_finished(fs: &dyn Fs, name: &str) -> Result<bool> {
    Ok(!holds_a_snapshot(fs, name)? && !was_in_use(fs, name)?)
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

/// Reads one manifest; `None` if it does not even hold its snapshot.
fn read_manifest(fs: &dyn Fs, id: u64, highest_id: u64) -> Result<Option<LoadedManifest>> {
    let name = names::manifest(id);
    let mut reader = ManifestReader::open(fs, &name)?;
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
    let mut edits = 0;
    while let Some(LocatedEdit { edit, file_offset }) = reader.next_edit()? {
        let next = loaded.version.apply(&edit, |meta| Ok(Arc::new(meta.clone())));
        loaded.version = next.map_err(|error| {
            // The edit is what was stored, so the file is at fault.
            Error::corruption(name.clone(), file_offset, error.to_string())
        })?;
        loaded.state.apply(&edit);
        edits += 1;
    }
    let log = reader.log();
    if edits > 0 && log.is_cut_short() {
        let what = "the file was longer: its end was cut off, and not by a crash";
        return Err(Error::corruption(name, log.good_file_bytes(), what));
    }
    loaded.clean = matches!(log.tail(), Some(Tail::EndMark));
    Ok((edits > 0).then_some(loaded))
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
