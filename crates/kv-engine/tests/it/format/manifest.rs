//! The manifest: a snapshot and edits to it.

use std::collections::BTreeMap;

use super::bytes::{FileHeader, Reader};
use super::log::records;

/// What the manifest says of a table.
pub(super) struct Table {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) file_bytes: u64,
    /// The one in the footer, which stands for every byte.
    pub(super) checksum: u32,
    pub(super) entries: u64,
    level: u64,
}

/// The state after the last edit.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) tables: Vec<Table>,
    pub(super) flushed_through: u64,
    pub(super) oldest_segment: u64,
    pub(super) newest_segment: u64,
    pub(super) segment_uids: BTreeMap<u64, Vec<u8>>,
    pub(super) segment_ends: BTreeMap<u64, u64>,
}

pub(super) fn read(file: &[u8]) -> Tree {
    let header = FileHeader::read(file, b"kv.mft\r\n");
    let mut tree = Tree::default();
    let mut begun = Vec::new();
    for record in records(file, b"kv.mft\r\n") {
        let edit = read_edit(header.metadata(record.lsn, &record.payload));
        let left = edit.records_left;
        assert!(begun.last().is_none_or(|last: &Edit| last.records_left == left + 1));
        begun.push(edit);
        if left == 0 {
            begun.drain(..).for_each(|edit| tree.apply(edit));
        }
    }
    tree
}

/// Of how many records the longest edit is.
pub(super) fn longest_edit(file: &[u8]) -> u64 {
    let header = FileHeader::read(file, b"kv.mft\r\n");
    let records = records(file, b"kv.mft\r\n").into_iter();
    let left =
        records.map(|record| read_edit(header.metadata(record.lsn, &record.payload)).records_left);
    1 + left.max().unwrap_or(0)
}

/// An edit, or one of its records.
struct Edit {
    newest_segment: Option<u64>,
    added: Vec<Table>,
    removed: Vec<(u64, u64)>,
    flushed_through: Option<u64>,
    oldest_segment: Option<u64>,
    segment_uids: Vec<(u64, Vec<u8>)>,
    segment_ends: Vec<(u64, u64)>,
    records_left: u64,
}

fn read_edit(mut edit: Reader<'_>) -> Edit {
    assert_eq!(edit.integer(), 0, "the keyspace");
    let newest_segment = edit.option();
    if edit.u8() == 1 {
        edit.take(16);
    }
    let _next_file_id = edit.option();
    let added = (0..edit.integer()).map(|_| read_table(&mut edit)).collect();
    let removed = (0..edit.integer()).map(|_| (edit.integer(), edit.integer())).collect();
    let (flushed_through, oldest_segment) = (edit.option(), edit.option());
    let uids = 0..edit.integer();
    let segment_uids = uids.map(|_| (edit.integer(), edit.take(16).to_vec())).collect();
    let segment_ends = (0..edit.integer()).map(|_| (edit.integer(), edit.integer())).collect();
    let properties = read_properties(&mut edit);
    assert!(edit.0.is_empty());
    let left = properties.iter().find(|(name, _)| *name == b"!records_left");
    let text = left.map_or("0", |(_, value)| std::str::from_utf8(value).unwrap());
    Edit {
        newest_segment,
        added,
        removed,
        flushed_through,
        oldest_segment,
        segment_uids,
        segment_ends,
        records_left: text.parse().unwrap(),
    }
}

impl Tree {
    fn apply(&mut self, edit: Edit) {
        self.newest_segment = edit.newest_segment.unwrap_or(self.newest_segment);
        self.tables.retain(|table| !edit.removed.contains(&(table.level, table.id)));
        self.tables.extend(edit.added);
        self.flushed_through = edit.flushed_through.unwrap_or(self.flushed_through);
        self.oldest_segment = edit.oldest_segment.unwrap_or(self.oldest_segment);
        self.segment_uids.extend(edit.segment_uids);
        self.segment_ends.extend(edit.segment_ends);
    }
}

fn read_table(edit: &mut Reader<'_>) -> Table {
    let level = edit.integer();
    let id = edit.integer();
    let _run = edit.integer();
    let origin = if edit.integer() == 0 { "sst" } else { "compacted" };
    edit.take(16);
    let file_bytes = edit.integer();
    let checksum = edit.integer() as u32;
    let entries = edit.integer();
    let _deletes = edit.integer();
    edit.list();
    edit.list();
    let _seqnos = (edit.integer(), edit.integer());
    assert_eq!(edit.u8(), 0, "no slice");
    read_properties(edit);
    Table { id, name: format!("{origin}_{id:06}.db"), file_bytes, checksum, entries, level }
}

fn read_properties<'a>(edit: &mut Reader<'a>) -> Vec<(&'a [u8], &'a [u8])> {
    (0..edit.integer()).map(|_| (edit.list(), edit.list())).collect()
}
