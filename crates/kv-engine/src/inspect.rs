//! Looking at a database directory without changing anything in it.

use std::sync::Arc;

use kv_compaction::{TableMeta, VersionEdit};
use kv_core::{FILE_HEADER_BYTES, FileHeader, FileKind, Result};
use kv_env::{Env, Fs};
use kv_sstable::{BlockCache, ExpectedTable, ReadMode, Table};

use crate::manifest_load::{Listing, load_manifest};
use crate::manifest_reader::ManifestReader;

/// Reads the edits of manifest file `name`, oldest first. One whose last record is
/// missing has never happened.
///
/// # Errors
/// `Corruption` where the file is damaged; edits before it are lost to this
/// call.
pub fn read_manifest_edits(fs: &dyn Fs, name: &str) -> Result<Vec<VersionEdit>> {
    let mut reader = ManifestReader::open(fs, name)?;
    let mut edits = Vec::new();
    while let Some(located) = reader.next_edit()? {
        edits.push(located.edit);
    }
    Ok(edits)
}

/// Name of the manifest that an open would read; `None` without a database.
pub fn current_manifest(env: &Env) -> Result<Option<String>> {
    let listing = Listing::read(&*env.fs)?;
    Ok(load_manifest(env, &listing)?.map(|loaded| loaded.name))
}

/// The tables of the database, as the manifest names them, by level.
pub fn manifest_tables(env: &Env) -> Result<Vec<(u32, TableMeta)>> {
    let listing = Listing::read(&*env.fs)?;
    let tables = load_manifest(env, &listing)?.map(|loaded| {
        let tables = loaded.version.tables();
        tables.map(|(level, meta)| (level as u32, TableMeta::clone(meta))).collect()
    });
    Ok(tables.unwrap_or_default())
}

/// The segment files of a directory, by name.
pub fn segment_names(env: &Env) -> Result<Vec<String>> {
    Ok(Listing::read(&*env.fs)?.segments)
}

/// Opens one table file for inspection, whatever database it belongs to.
pub fn open_table_file(fs: &dyn Fs, name: &str) -> Result<Arc<Table>> {
    let file = fs.open(name)?;
    let mut bytes = [0; FILE_HEADER_BYTES];
    let whole = file.read_exact_at(0, &mut bytes)?;
    let present: &[u8] = if whole { &bytes } else { &[] };
    let header = FileHeader::decode(FileKind::Table, name, present)?;
    let expected = ExpectedTable {
        database_id: header.database_id,
        file_id: header.file_id,
        file_bytes: file.len(),
    };
    Table::open(fs, name, expected, ReadMode::Pread, BlockCache::new(0))
}
