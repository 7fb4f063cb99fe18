//! An edit as the records of a manifest: one, or several where one would be long.
//!
//! * Every record but the last says, as the property [`RECORDS_LEFT`], how many of
//!   the same edit follow it. A build that does not know the property refuses it.
//! * The first record holds all of the edit but the tables that did not fit, the
//!   others add tables and nothing else. All name the database if the edit does,
//!   as that of a snapshot does and no other.
//! * An edit whose last record is missing has never happened.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::mem;
use std::ops::Range;

use kv_core::{Error, MAX_KEY_BYTES, MAX_METADATA_BYTES, Result};

use crate::edit::VersionEdit;
use crate::table_meta::TableMeta;

/// About what a record of an edit holds at most, in bytes: some thousand tables
/// with usual keys, and eight with the longest. More would only take more memory,
/// here and in the reader, for each record is encoded and read as a whole.
const RECORD_BYTES: usize = 1 << 20;

/// Name of the property that a record with successors has. Its value is text, a
/// decimal number from 1 on.
pub(crate) const RECORDS_LEFT: &str = "!records_left";

/// Most bytes of a table with its level, but for its keys and properties: 7 bytes of
/// identity, kind and options, 16 of uid, 10 numbers of 9 bytes and 2 lengths.
const TABLE_BYTES: usize = 160;
/// Most bytes of a property but for its name and value.
const PROPERTY_BYTES: usize = 18;
/// Most bytes of a removed table.
const REMOVED_BYTES: usize = 14;
/// Most bytes of a segment with its uid and its end.
const SEGMENT_BYTES: usize = 43;

// A record holds one table at least, however long its keys are. And all of an edit
// but its added tables, which is always in the first record, stays below the limit
// for up to four million removed tables or a million segments: no disk has those.
const _: () = assert!(RECORD_BYTES >= TABLE_BYTES + 2 * MAX_KEY_BYTES);
const _: () = assert!(4_000_000 * REMOVED_BYTES + RECORD_BYTES < MAX_METADATA_BYTES);
const _: () = assert!(1_000_000 * SEGMENT_BYTES + RECORD_BYTES < MAX_METADATA_BYTES);

impl VersionEdit {
    /// The records that this edit is stored as, in order: itself if it is not long.
    ///
    /// Copies the tables of one record at a time.
    pub fn records(&self) -> impl Iterator<Item = Cow<'_, VersionEdit>> {
        let parts = self.parts();
        let count = parts.len();
        parts.into_iter().enumerate().map(move |(index, part)| match count {
            1 => Cow::Borrowed(self),
            _ => Cow::Owned(self.record(part, index == 0, count - 1 - index)),
        })
    }

    /// How many records of the same edit follow this one.
    pub fn records_left(&self) -> u64 {
        self.stated_records_left().unwrap_or_default()
    }

    /// The same; `None` for a statement that is none.
    pub(crate) fn stated_records_left(&self) -> Option<u64> {
        let Some(value) = self.properties.get(RECORDS_LEFT) else { return Some(0) };
        let left = std::str::from_utf8(value).ok()?.parse().ok()?;
        (left > 0).then_some(left)
    }

    /// Which of the added tables go into which record. At least one part.
    fn parts(&self) -> Vec<Range<usize>> {
        let segments = self.segment_uids.len() + self.segment_ends.len();
        let mut bytes = self.removed.len() * REMOVED_BYTES
            + segments * SEGMENT_BYTES
            + bytes_of_properties(&self.properties);
        let (mut parts, mut start) = (Vec::new(), 0);
        for (index, (_, meta)) in self.added.iter().enumerate() {
            let more = bytes_of_table(meta);
            if bytes > 0 && bytes + more > RECORD_BYTES {
                parts.push(start..index);
                (start, bytes) = (index, 0);
            }
            bytes += more;
        }
        parts.push(start..self.added.len());
        parts
    }

    fn record(&self, part: Range<usize>, is_first: bool, left: usize) -> VersionEdit {
        let added = self.added[part].to_vec();
        let mut record = match is_first {
            true => VersionEdit {
                added,
                removed: self.removed.clone(),
                segment_uids: self.segment_uids.clone(),
                segment_ends: self.segment_ends.clone(),
                properties: self.properties.clone(),
                ..*self
            },
            false => VersionEdit { added, ..self.of_every_record() },
        };
        if left > 0 {
            record.properties.insert(RECORDS_LEFT.into(), left.to_string().into_bytes());
        }
        record
    }

    /// What the records behind the first say besides tables.
    fn of_every_record(&self) -> VersionEdit {
        let VersionEdit { keyspace, database, .. } = *self;
        VersionEdit { keyspace, database, ..VersionEdit::default() }
    }
}

fn bytes_of_table(meta: &TableMeta) -> usize {
    let keys = meta.smallest_key.len() + meta.largest_key.len();
    TABLE_BYTES + keys + bytes_of_properties(&meta.properties)
}

fn bytes_of_properties(properties: &BTreeMap<String, Vec<u8>>) -> usize {
    properties.iter().map(|(name, value)| PROPERTY_BYTES + name.len() + value.len()).sum()
}

/// Puts the records of edits together again.
#[derive(Debug, Default)]
pub struct EditAssembly {
    /// An edit without its last records, and how many those are.
    begun: Option<(VersionEdit, u64)>,
}

impl EditAssembly {
    /// Takes the next record; returns the edit if this is its last one.
    ///
    /// # Errors
    /// `InvalidArgument` for a record that does not belong to the edit that was
    /// begun. That edit is given up.
    pub fn add(&mut self, mut record: VersionEdit) -> Result<Option<VersionEdit>> {
        let left = record.records_left();
        record.properties.remove(RECORDS_LEFT);
        let edit = match self.begun.take() {
            None => record,
            Some((mut edit, expected)) => {
                let mut added = mem::take(&mut record.added);
                let is_next = left.checked_add(1) == Some(expected);
                if !is_next || record != edit.of_every_record() {
                    let what = "the records of an edit do not belong together";
                    return Err(Error::InvalidArgument(what.into()));
                }
                edit.added.append(&mut added);
                edit
            }
        };
        if left == 0 {
            return Ok(Some(edit));
        }
        self.begun = Some((edit, left));
        Ok(None)
    }

    /// True if records of the edit that was begun are still to come.
    pub fn is_in_between(&self) -> bool {
        self.begun.is_some()
    }
}
