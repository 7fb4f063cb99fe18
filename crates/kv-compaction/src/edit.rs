//! The difference between two versions, as the manifest stores it.

use std::collections::{BTreeMap, HashSet};

use kv_core::{ChecksumSeed, DatabaseId, Error, Result, SeqNo, decode_metadata, encode_metadata};
use serde::{Deserialize, Serialize};

use crate::edit_records::RECORDS_LEFT;
use crate::table_meta::TableMeta;
use crate::version::LEVELS;

/// Version of the stored form.
const EDIT_RECORD_VERSION: u8 = 1;

/// The first character of a property that a reader must know.
const REQUIRED_MARK: char = '!';

/// What to change in a version, and the counters that change with it.
///
/// A table in both lists moves from one level to another and keeps its file.
///
/// The order of the fields is that of the stored form. It mixes those that most
/// edits have with those that most have not: eight zeros in a row at the end of
/// a line of the manifest are what a torn write looks like.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VersionEdit {
    /// The keyspace whose tree changes. 0 is the only one today.
    pub keyspace: u32,
    /// The last segment of the log that was opened.
    pub newest_segment: Option<u64>,
    /// The database, in the snapshot that a manifest begins with and in no later edit.
    pub database: Option<DatabaseId>,
    /// Every file id from here on is unused.
    pub next_file_id: Option<u64>,
    /// New tables with their level.
    #[serde(deserialize_with = "kv_core::bounded_list")]
    pub added: Vec<(u32, TableMeta)>,
    /// Level and id of the tables that go.
    #[serde(deserialize_with = "kv_core::bounded_list")]
    pub removed: Vec<(u32, u64)>,
    /// Every write up to here is in a table.
    pub flushed_through: Option<SeqNo>,
    /// The first segment of the log that is still needed.
    pub oldest_segment: Option<u64>,
    /// Id and random identity of segments that were opened: a file with the id
    /// of one and another identity comes from another copy of the database.
    #[serde(deserialize_with = "kv_core::bounded_list")]
    pub segment_uids: Vec<(u64, [u8; 16])>,
    /// Id of segments that a recovery found without an end mark, and the length
    /// in bytes that it gave their files.
    #[serde(deserialize_with = "kv_core::bounded_list")]
    pub segment_ends: Vec<(u64, u64)>,
    /// Room for later facts. A reader ignores a property it does not know,
    /// unless its name starts with `!`: then it refuses the edit.
    #[serde(deserialize_with = "kv_core::bounded_properties")]
    pub properties: BTreeMap<String, Vec<u8>>,
}

impl VersionEdit {
    /// The stored form for `offset` of the manifest, as one record.
    ///
    /// # Errors
    /// `TooLarge` for an edit over [`kv_core::MAX_METADATA_BYTES`], which none of its
    /// [`records`](VersionEdit::records) is.
    pub fn encode(&self, seed: ChecksumSeed, offset: u64) -> Result<Vec<u8>> {
        encode_metadata(EDIT_RECORD_VERSION, self, seed, offset)
    }

    /// Reads the edit, or the record of one, that fills `bytes` and stands at `offset`
    /// of `file`.
    ///
    /// # Errors
    /// `Corruption` for anything but an encoded edit that could be true,
    /// `Unsupported` for one that relies on features unknown here.
    pub fn decode(
        bytes: &[u8],
        seed: ChecksumSeed,
        offset: u64,
        file: &str,
    ) -> Result<VersionEdit> {
        let edit: VersionEdit = decode_metadata(EDIT_RECORD_VERSION, bytes, seed, offset, file)?;
        edit.check_supported(file)?;
        let level_of_removed = edit.removed.iter().map(|(level, _)| *level);
        let levels = edit.added.iter().map(|(level, _)| *level).chain(level_of_removed);
        if levels.into_iter().any(|level| level as usize >= LEVELS) {
            return Err(Error::corruption(file, offset, "the edit names a level that is none"));
        }
        if edit.stated_records_left().is_none() {
            let what = "the edit does not tell how many of its records follow";
            return Err(Error::corruption(file, offset, what));
        }
        for (_, meta) in &edit.added {
            meta.check().map_err(|error| Error::corruption(file, offset, error.to_string()))?;
        }
        Ok(edit)
    }

    /// Ids of the removed tables that are not added again at another level:
    /// their files can go once the edit is durable.
    pub fn obsolete_ids(&self) -> impl Iterator<Item = u64> {
        let kept: HashSet<u64> = self.added.iter().map(|(_, meta)| meta.id).collect();
        self.removed.iter().map(|(_, id)| *id).filter(move |id| !kept.contains(id))
    }

    fn check_supported(&self, file: &str) -> Result<()> {
        let unsupported = |what: String| Err(Error::Unsupported { file: file.into(), what });
        if self.keyspace != 0 {
            return unsupported(format!("keyspace {} is unknown", self.keyspace));
        }
        let of_tables = self.added.iter().flat_map(|(_, meta)| meta.properties.keys());
        let of_edit = self.properties.keys().filter(|name| *name != RECORDS_LEFT);
        if let Some(name) = of_edit.chain(of_tables).find(|name| name.starts_with(REQUIRED_MARK)) {
            return unsupported(format!("property {} is unknown", name.escape_default()));
        }
        match self.added.iter().find(|(_, meta)| meta.slice.is_some()) {
            Some((_, meta)) => unsupported(format!("table {} is a slice of a file", meta.id)),
            None => Ok(()),
        }
    }
}
