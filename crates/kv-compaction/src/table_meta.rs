//! What the tree knows of a table without opening it.

use std::collections::BTreeMap;
use std::sync::Arc;

use kv_core::{Error, MAX_KEY_BYTES, Result, SeqNo};
use serde::{Deserialize, Serialize};

use crate::key_span::KeySpan;

/// Who wrote a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TableOrigin {
    /// A flush of memory tables.
    Flush,
    /// A compaction.
    Compaction,
}

impl TableOrigin {
    /// The name of table `id`. Names are for people: a table that a compaction
    /// only moves keeps its name.
    pub fn file_name(self, id: u64) -> String {
        match self {
            TableOrigin::Flush => format!("sst_{id:06}.db"),
            TableOrigin::Compaction => format!("compacted_{id:06}.db"),
        }
    }
}

/// A table that is a part of a file which another id names.
///
/// Reserved: this build writes none and refuses an edit that names one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSlice {
    /// The file that holds the entries.
    pub file_id: u64,
    /// The keys of it that belong to the table.
    pub span: KeySpan,
}

/// A table as an edit describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableMeta {
    /// Its number, never used twice in a database.
    pub id: u64,
    /// Id of the first table written by the same flush or compaction. Tables
    /// of one run are disjoint, and a smaller run is older.
    pub run: u64,
    /// Who wrote it.
    pub origin: TableOrigin,
    /// Random bits in the header of the very file that is meant.
    pub file_uid: [u8; 16],
    /// Length of the file, in bytes.
    pub file_bytes: u64,
    /// Checksum of the file's footer, which stands for all of its bytes.
    pub checksum: u32,
    /// Entries, deletes included; at least one.
    pub entries: u64,
    /// Entries that are deletes.
    pub deletes: u64,
    /// First key.
    #[serde(deserialize_with = "kv_core::bounded_bytes")]
    pub smallest_key: Vec<u8>,
    /// Last key.
    #[serde(deserialize_with = "kv_core::bounded_bytes")]
    pub largest_key: Vec<u8>,
    /// Oldest entry.
    pub smallest_seqno: SeqNo,
    /// Newest entry.
    pub largest_seqno: SeqNo,
    /// Set if the entries are a part of another file. Reserved.
    pub slice: Option<TableSlice>,
    /// Room for later facts; see [`VersionEdit::properties`](crate::VersionEdit).
    #[serde(deserialize_with = "kv_core::bounded_properties")]
    pub properties: BTreeMap<String, Vec<u8>>,
}

impl TableMeta {
    /// Name of the file.
    pub fn file_name(&self) -> String {
        self.origin.file_name(self.id)
    }

    /// The keys from first to last.
    pub fn span(&self) -> KeySpan {
        KeySpan::new(self.smallest_key.as_slice(), self.largest_key.as_slice())
    }

    /// True if `key` lies between the first and the last key.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.smallest_key.as_slice() <= key && key <= self.largest_key.as_slice()
    }

    /// True if some key may be in both tables.
    pub fn overlaps(&self, other: &TableMeta) -> bool {
        self.smallest_key <= other.largest_key && other.smallest_key <= self.largest_key
    }

    /// Fails with `InvalidArgument` if no table can be like this.
    pub(crate) fn check(&self) -> Result<()> {
        let what = if self.smallest_key > self.largest_key {
            "its first key is behind its last"
        } else if self.largest_key.len() > MAX_KEY_BYTES || self.smallest_key.len() > MAX_KEY_BYTES
        {
            "its keys are too long"
        } else if self.entries == 0 || self.deletes > self.entries {
            "its counts contradict each other"
        } else if self.smallest_seqno > self.largest_seqno || self.largest_seqno > SeqNo::MAX {
            "its sequence numbers are out of range"
        } else if self.run > self.id {
            "it is older than its run"
        } else {
            return Ok(());
        };
        Err(Error::InvalidArgument(format!("table {} is impossible: {what}", self.id)))
    }
}

/// Anything that stands for a table: its description, or the engine's open one.
pub trait TableRef {
    /// The description.
    fn meta(&self) -> &TableMeta;
}

impl TableRef for TableMeta {
    fn meta(&self) -> &TableMeta {
        self
    }
}

impl<T: TableRef> TableRef for Arc<T> {
    fn meta(&self) -> &TableMeta {
        (**self).meta()
    }
}
