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
    for record in records(file, b"kv.mft\r\n") {
        tree.apply(header.metadata(record.lsn, &record.payload));
    }
    tree
}

impl Tree {
    fn apply(&mut self, mut edit: Reader<'_>) {
        assert_eq!(edit.integer(), 0, "the keyspace");
        let newest_segment = edit.option();
        self.newest_segment = newest_segment.unwrap_or(self.newest_segment);
        if edit.u8() == 1 {
            edit.take(16);
        }
        let _next_file_id = edit.option();
        let added: Vec<Table> = (0..edit.integer()).map(|_| read_table(&mut edit)).collect();
        let removed: Vec<(u64, u64)> =
            (0..edit.integer()).map(|_| (edit.integer(), edit.integer())).collect();
        self.tables.retain(|table| !removed.contains(&(table.level, table.id)));
        self.tables.extend(added);
        self.flushed_through = edit.option().unwrap_or(self.flushed_through);
        self.oldest_segment = edit.option().unwrap_or(self.oldest_segment);
        for _ in 0..edit.integer() {
            let id = edit.integer();
            self.segment_uids.insert(id, edit.take(16).to_vec());
        }
        for _ in 0..edit.integer() {
            let id = edit.integer();
            self.segment_ends.insert(id, edit.integer());
        }
        skip_properties(&mut edit);
        assert!(edit.0.is_empty());
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
    skip_properties(edit);
    Table { id, name: format!("{origin}_{id:06}.db"), file_bytes, checksum, entries, level }
}

fn skip_properties(edit: &mut Reader<'_>) {
    for _ in 0..edit.integer() {
        edit.list();
        edit.list();
    }
}
