//! What all tests of tables need.

use std::sync::Arc;

use kv_core::{Cursor, DatabaseId, FileHeader, FileKind, Kind, OwnedEntry, Result, SeqNo};
use kv_sstable::{
    BlockCache, ExpectedTable, ReadMode, Table, TableBuilder, TableOptions, TableSummary,
};

use crate::memory_fs::MemoryFs;

pub(crate) const NAME: &str = "sst_000007.db";

pub(crate) const MODES: [ReadMode; 2] = [ReadMode::Map, ReadMode::Pread];

pub(crate) fn header(file_id: u64) -> FileHeader {
    FileHeader {
        kind: FileKind::Table,
        database_id: DatabaseId([0xd; 16]),
        file_id,
        file_uid: [file_id as u8; 16],
    }
}

pub(crate) fn expected(file_id: u64, file_bytes: u64) -> ExpectedTable {
    ExpectedTable { database_id: DatabaseId([0xd; 16]), file_id, file_bytes }
}

pub(crate) fn put(key: impl AsRef<[u8]>, seqno: u64, value: impl AsRef<[u8]>) -> OwnedEntry {
    OwnedEntry {
        key: key.as_ref().to_vec(),
        seqno: SeqNo(seqno),
        kind: Kind::Put,
        value: value.as_ref().to_vec(),
    }
}

pub(crate) fn delete(key: impl AsRef<[u8]>, seqno: u64) -> OwnedEntry {
    OwnedEntry { kind: Kind::Delete, ..put(key, seqno, []) }
}

pub(crate) fn build(
    fs: &MemoryFs,
    name: &str,
    options: &TableOptions,
    entries: &[OwnedEntry],
) -> TableSummary {
    let mut builder = TableBuilder::create(fs, name, header(7), options.clone()).unwrap();
    for entry in entries {
        builder.add(&entry.key, entry.seqno, entry.kind, &entry.value).unwrap();
    }
    builder.finish().unwrap()
}

pub(crate) fn open(fs: &MemoryFs, name: &str, mode: ReadMode) -> Result<Arc<Table>> {
    let file_bytes = fs.file(name).len() as u64;
    Table::open(fs, name, expected(7, file_bytes), mode, BlockCache::new(1 << 20))
}

pub(crate) fn entry_at(cursor: &impl Cursor) -> Option<OwnedEntry> {
    cursor.valid().then(|| OwnedEntry {
        key: cursor.key().to_vec(),
        seqno: cursor.seqno(),
        kind: cursor.kind(),
        value: cursor.value().to_vec(),
    })
}

pub(crate) fn all_entries(cursor: &mut impl Cursor) -> Result<Vec<OwnedEntry>> {
    let mut entries = Vec::new();
    cursor.seek_to_first()?;
    while let Some(entry) = entry_at(cursor) {
        entries.push(entry);
        cursor.next()?;
    }
    Ok(entries)
}
