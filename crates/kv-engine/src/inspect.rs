//! Looking at a database directory without changing anything in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use kv_compaction::{TableMeta, VersionEdit};
use kv_core::{DecodedBatch, Error, FileKind, Result};
use kv_env::{Env, Fs};
use kv_sstable::{BlockCache, ExpectedTable, ReadMode, Table};
use kv_wal::{LogReader, SegmentPosition, Tail};

use crate::live_table::open_table;
use crate::manifest_load::{Listing, LoadedManifest, load_manifest};
use crate::names;
use crate::replay::{Sequence, check_tail, find_segments, last_used_segment, position};

/// What a check of a directory found.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct VerifyReport {
    /// The manifest that counts.
    pub manifest: String,
    /// Every table and segment the manifest names, with what is in it.
    pub files: Vec<VerifiedFile>,
    /// What is wrong, one entry for each damaged or missing file.
    pub problems: Vec<Problem>,
    /// Files that are not ours.
    pub foreign: Vec<String>,
}

/// A file without damage.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct VerifiedFile {
    /// Its name.
    pub name: String,
    /// Entries of a table, records of a segment.
    pub items: u64,
    /// Bytes behind the last record that a crash left incomplete; they were
    /// never acknowledged as durable.
    pub torn_bytes: u64,
}

/// Damage.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// What is wrong, with the offset where there is one.
    pub what: String,
}

/// Reads every file of the database in the directory of `env` and checks it:
/// checksums, order, counts, and that nothing is missing. With `deep`, also
/// every entry of every table against its index and filter.
///
/// Goes on behind damage, and changes nothing.
///
/// # Errors
/// `Locked` if the database is open; the first error of a manifest that cannot
/// be read, for nothing else can be judged without it; `Io`.
pub fn verify_directory(env: &Env, deep: bool) -> Result<VerifyReport> {
    let no_database = || {
        let what = "there is no manifest: this directory holds no database";
        Err(Error::InvalidArgument(what.into()))
    };
    // A lock file is not left where there is nothing to lock.
    if Listing::read(&*env.fs)?.is_empty() {
        return no_database();
    }
    let _lock = env.fs.lock(names::LOCK)?;
    let listing = Listing::read(&*env.fs)?;
    let Some(loaded) = load_manifest(env, &listing)? else { return no_database() };
    let mut report = VerifyReport {
        manifest: loaded.name.clone(),
        foreign: listing.foreign.clone(),
        ..VerifyReport::default()
    };
    for (_, meta) in loaded.version.tables() {
        let checked = check_table(&*env.fs, &loaded, meta, deep);
        report.add(meta.file_name(), checked)?;
    }
    match find_segments(&*env.fs, &listing.segments, loaded.database_id, &loaded.state) {
        Ok(found) => check_segments(&*env.fs, &loaded, &found.live, &mut report)?,
        Err(error) => report.add("log".into(), Err(error))?,
    }
    Ok(report)
}

impl VerifyReport {
    /// Notes a file; only an error of the operating system ends the check.
    fn add(&mut self, name: String, checked: Result<VerifiedFile>) -> Result<()> {
        match checked {
            Ok(file) => self.files.push(file),
            Err(error @ Error::Io { .. }) if !error.is_not_found() => return Err(error),
            Err(error) => self.problems.push(Problem { file: name, what: error.to_string() }),
        }
        Ok(())
    }
}

fn check_table(
    fs: &dyn Fs,
    loaded: &LoadedManifest,
    meta: &TableMeta,
    deep: bool,
) -> Result<VerifiedFile> {
    let name = meta.file_name();
    let table = open_table(fs, meta, loaded.database_id, ReadMode::Pread, BlockCache::new(0))?;
    let report = table.verify(deep)?;
    if report.entries != meta.entries {
        let what = format!("{} entries where the manifest has {}", report.entries, meta.entries);
        return Err(Error::corruption(name, 0, what));
    }
    Ok(VerifiedFile { name, items: report.entries, torn_bytes: 0 })
}

fn check_segments(
    fs: &dyn Fs,
    loaded: &LoadedManifest,
    segments: &BTreeMap<u64, String>,
    report: &mut VerifyReport,
) -> Result<()> {
    let last_used = match last_used_segment(fs, segments) {
        Ok(last) => last,
        Err(error) => return report.add("log".into(), Err(error)),
    };
    let mut sequence = Sequence::after(loaded.state.flushed_through);
    for (&id, name) in segments {
        let checked = check_segment(fs, id, name, last_used, &mut sequence);
        if checked.is_err() {
            sequence = Sequence::behind_damage();
        }
        report.add(name.clone(), checked)?;
    }
    Ok(())
}

fn check_segment(
    fs: &dyn Fs,
    id: u64,
    name: &str,
    last_used: Option<u64>,
    sequence: &mut Sequence,
) -> Result<VerifiedFile> {
    let mut reader = LogReader::open(fs, name, FileKind::Wal, position(id, name))?;
    let mut items = 0;
    while let Some(record) = reader.next_record()? {
        let batch = DecodedBatch::decode(record.payload, name, record.file_offset)?;
        sequence.check(&batch, name, record.file_offset)?;
        items += 1;
    }
    check_tail(id, name, last_used, &reader)?;
    let torn_bytes = match reader.tail() {
        Some(Tail::Torn { discarded_bytes, .. }) => discarded_bytes,
        _ => 0,
    };
    Ok(VerifiedFile { name: name.into(), items, torn_bytes })
}

/// Reads the edits of manifest file `name`, oldest first.
///
/// # Errors
/// `Corruption` where the file is damaged; edits before it are lost to this
/// call.
pub fn read_manifest_edits(fs: &dyn Fs, name: &str) -> Result<Vec<VersionEdit>> {
    let mut reader = LogReader::open(fs, name, FileKind::Manifest, SegmentPosition::Last)?;
    let seed = reader.header().seed();
    let mut edits = Vec::new();
    while let Some(record) = reader.next_record()? {
        edits.push(VersionEdit::decode(record.payload, seed, record.lsn.0, name)?);
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
    let mut bytes = [0; kv_core::FILE_HEADER_BYTES];
    let whole = file.read_exact_at(0, &mut bytes)?;
    let present: &[u8] = if whole { &bytes } else { &[] };
    let header = kv_core::FileHeader::decode(FileKind::Table, name, present)?;
    let expected = ExpectedTable {
        database_id: header.database_id,
        file_id: header.file_id,
        file_bytes: file.len(),
    };
    Table::open(fs, name, expected, ReadMode::Pread, BlockCache::new(0))
}
