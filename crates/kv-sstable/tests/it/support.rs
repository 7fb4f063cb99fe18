//! What all tests of tables need.

use std::sync::Arc;

use kv_core::{Cursor, DatabaseId, Error, FileHeader, FileKind, Kind, OwnedEntry, Result, SeqNo};
use kv_env::{Fs, SimDisk};
use kv_sstable::{
    BlockCache, Compression, CursorPurpose, ExpectedTable, KeyHash, ReadMode, Table, TableBuilder,
    TableOptions, TableSalvage, TableSummary,
};

pub(crate) const NAME: &str = "sst_000007.db";

pub(crate) const FILE_ID: u64 = 7;

pub(crate) const DATABASE_ID: DatabaseId = DatabaseId([0xd; 16]);

pub(crate) const MODES: [ReadMode; 2] = [ReadMode::Map, ReadMode::Pread];

pub(crate) const PURPOSES: [CursorPurpose; 2] = [CursorPurpose::Read, CursorPurpose::Background];

pub(crate) fn header(file_id: u64) -> FileHeader {
    FileHeader {
        kind: FileKind::Table,
        database_id: DATABASE_ID,
        file_id,
        file_uid: [file_id as u8; 16],
    }
}

pub(crate) fn expected(file_bytes: u64) -> ExpectedTable {
    ExpectedTable { database_id: DATABASE_ID, file_id: FILE_ID, file_bytes }
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

/// Accounts with values of some length; every fifth is deleted.
pub(crate) fn accounts(count: u64) -> Vec<OwnedEntry> {
    (0..count)
        .map(|number| {
            let key = format!("account:{number:05}");
            match number % 5 {
                4 => delete(key, 100 + number),
                _ => put(key, 100 + number, format!("balance {}", number * number)),
            }
        })
        .collect()
}

/// Options for tables of many blocks.
pub(crate) fn small_blocks(compression: Compression) -> TableOptions {
    TableOptions { block_bytes: 300, compression, ..TableOptions::default() }
}

/// The entries that a salvage finds, in its order.
pub(crate) fn salvaged(table: &mut TableSalvage) -> Vec<OwnedEntry> {
    let mut entries = Vec::new();
    while table.advance().unwrap() {
        entries.push(OwnedEntry {
            key: table.key().to_vec(),
            seqno: table.seqno(),
            kind: table.kind(),
            value: table.value().to_vec(),
        });
    }
    entries
}

/// Writes `entries` as the table `NAME`.
pub(crate) fn build(fs: &dyn Fs, options: &TableOptions, entries: &[OwnedEntry]) -> TableSummary {
    build_as(fs, NAME, header(FILE_ID), options, entries).unwrap()
}

pub(crate) fn build_as(
    fs: &dyn Fs,
    name: &str,
    header: FileHeader,
    options: &TableOptions,
    entries: &[OwnedEntry],
) -> Result<TableSummary> {
    let mut builder = TableBuilder::create(fs, name, header, options.clone())?;
    for entry in entries {
        builder.add(&entry.key, entry.seqno, entry.kind, &entry.value)?;
    }
    builder.finish()
}

/// Opens the table `NAME`, whatever its length.
pub(crate) fn open(fs: &dyn Fs, mode: ReadMode) -> Result<Arc<Table>> {
    let file_bytes = fs.open(NAME)?.len();
    Table::open(fs, NAME, expected(file_bytes), mode, BlockCache::new(1 << 20))
}

/// A new disk with the table `NAME` of these bytes.
pub(crate) fn disk_with(bytes: &[u8]) -> SimDisk {
    let disk = SimDisk::new(1);
    disk.write_file(NAME, bytes);
    disk
}

/// The bytes of a table of `entries`.
pub(crate) fn table_bytes(options: &TableOptions, entries: &[OwnedEntry]) -> Vec<u8> {
    let disk = SimDisk::new(1);
    build(&*disk.fs(), options, entries);
    disk.read_file(NAME).unwrap()
}

pub(crate) fn get(table: &Arc<Table>, key: &[u8]) -> Result<Option<OwnedEntry>> {
    let found = table.get(key, KeyHash::of(DATABASE_ID, key))?;
    Ok(found.map(|found| OwnedEntry {
        key: key.to_vec(),
        seqno: found.seqno,
        kind: found.kind,
        value: found.value.to_vec(),
    }))
}

pub(crate) fn entry_at(cursor: &impl Cursor) -> Option<OwnedEntry> {
    cursor.valid().then(|| OwnedEntry {
        key: cursor.key().to_vec(),
        seqno: cursor.seqno(),
        kind: cursor.kind(),
        value: cursor.value().to_vec(),
    })
}

pub(crate) fn forwards(cursor: &mut impl Cursor) -> Result<Vec<OwnedEntry>> {
    let mut entries = Vec::new();
    cursor.seek_to_first()?;
    while let Some(entry) = entry_at(cursor) {
        entries.push(entry);
        cursor.next()?;
    }
    Ok(entries)
}

/// All entries in order, gathered from the last to the first.
pub(crate) fn backwards(cursor: &mut impl Cursor) -> Result<Vec<OwnedEntry>> {
    let mut entries = Vec::new();
    cursor.seek_to_last()?;
    while let Some(entry) = entry_at(cursor) {
        entries.push(entry);
        cursor.prev()?;
    }
    entries.reverse();
    Ok(entries)
}

/// True for what damaged bytes may cause, and nothing else.
pub(crate) fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Corruption { .. } | Error::Unsupported { .. })
}
