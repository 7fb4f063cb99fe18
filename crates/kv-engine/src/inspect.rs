//! Looking at a database directory without changing anything in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use kv_compaction::{TableMeta, VersionEdit};
use kv_core::{DecodedBatch, Error, FILE_HEADER_BYTES, FileHeader, FileKind, Result};
use kv_env::{Env, Fs};
use kv_sstable::{BlockCache, ExpectedTable, ReadMode, Table, TableSalvage};
use kv_wal::{LogReader, SalvageReader, Salvaged, SegmentPosition, read_header};

use crate::live_table::open_table;
use crate::manifest::ManifestState;
use crate::manifest_load::{Listing, LoadedManifest, decode_edit, load_manifest};
use crate::names;
use crate::replay::{Sequence, find_segments};
use crate::segment_reader::{LogEnd, SegmentReader};

/// What a check of a directory found.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct VerifyReport {
    /// The manifest that counts.
    pub manifest: String,
    /// Every table and segment the manifest names, with what is in it.
    pub files: Vec<VerifiedFile>,
    /// What is wrong, one entry for each missing file and each damaged part of
    /// a file.
    pub problems: Vec<Problem>,
    /// Files that are not ours.
    pub foreign: Vec<String>,
    /// Files of ours that nothing refers to: the next open removes them.
    pub unused: Vec<String>,
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
    /// Where in it; `None` where the file as a whole is meant.
    pub offset: Option<u64>,
    /// Length of the damaged part, where that is known.
    pub bytes: Option<u64>,
    /// What is wrong, in a sentence with file and offset.
    pub what: String,
    /// What to do about it.
    pub advice: &'static str,
}

const RESTORE: &str = "restore the file from a backup, or salvage what is left with kv repair";
const PUT_BACK: &str = "put the file back, or salvage what is left with kv repair";
const CHECK_DEVICE: &str = "check the device; copy what can be read to another one with kv repair";
const USE_NEWER: &str = "use the version of kv that wrote it";

impl Problem {
    fn of_error(file: String, error: &Error) -> Problem {
        let offset = match error {
            Error::Corruption { offset, .. } => Some(*offset),
            _ => None,
        };
        let advice = match error {
            Error::Io { .. } if error.is_not_found() => PUT_BACK,
            Error::Io { .. } => CHECK_DEVICE,
            Error::Unsupported { .. } => USE_NEWER,
            _ => RESTORE,
        };
        Problem { file, offset, bytes: None, what: error.to_string(), advice }
    }

    fn of_range(file: &str, offset: u64, bytes: u64, what: &str) -> Problem {
        let what = Error::corruption(file, offset, what).to_string();
        let file = file.into();
        Problem { file, offset: Some(offset), bytes: Some(bytes), what, advice: RESTORE }
    }
}

/// Reads every file of the database in the directory of `env` and checks it:
/// checksums, order, counts, and that nothing is missing. With `deep`, also
/// every entry of every table against its index and filter.
///
/// Reads from the device, not from memory, and by plain reads, not through a
/// map. Goes on behind damage to the end of every file, and changes nothing.
///
/// # Errors
/// `Locked` if the database is open; the first error of a manifest that cannot
/// be read, for nothing else can be judged without it; `Io` for the directory.
/// What goes wrong with a table or a segment is a problem in the report.
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
        let name = meta.file_name();
        match check_table(&*env.fs, &loaded, meta, deep) {
            Ok(file) => report.files.push(file),
            Err(error) => {
                let damage = table_damage(&*env.fs, &loaded, meta).unwrap_or_default();
                report.add_problems(name, &error, damage);
            }
        }
    }
    report.unused = unused_tables(&listing, &loaded);
    match find_segments(&*env.fs, &listing.segments, loaded.database_id, &loaded.state) {
        Ok(found) => {
            report.unused.extend(found.leftover);
            check_segments(&*env.fs, &loaded, &found.live, &mut report);
        }
        Err(error) => {
            let file = match &error {
                Error::Corruption { file, .. } => file.clone(),
                _ => "log".into(),
            };
            report.add_problems(file, &error, Vec::new());
        }
    }
    Ok(report)
}

/// Tables that the manifest does not name.
fn unused_tables(listing: &Listing, loaded: &LoadedManifest) -> Vec<String> {
    let is_named =
        |name: &String| loaded.version.tables().any(|(_, meta)| meta.file_name() == *name);
    let names = listing.tables.iter().map(|(_, name)| name);
    names.filter(|name| !is_named(name)).cloned().collect()
}

impl VerifyReport {
    /// Notes the damaged parts of a file that failed its check with `error`,
    /// or the error itself where no part stands out.
    fn add_problems(&mut self, file: String, error: &Error, damage: Vec<Problem>) {
        if damage.is_empty() {
            self.problems.push(Problem::of_error(file, error));
        }
        self.problems.extend(damage);
    }
}

/// All damaged parts of a table.
fn table_damage(fs: &dyn Fs, loaded: &LoadedManifest, meta: &TableMeta) -> Result<Vec<Problem>> {
    let name = meta.file_name();
    let header = FileHeader {
        kind: FileKind::Table,
        database_id: loaded.database_id,
        file_id: meta.id,
        file_uid: meta.file_uid,
    };
    let file = fs.open(&name)?;
    let mut problems = Vec::new();
    let mut bytes = [0; FILE_HEADER_BYTES];
    let got = file.read_at(0, &mut bytes)?;
    match FileHeader::decode(FileKind::Table, &name, &bytes[..got]) {
        Ok(found) if found == header => {}
        // Another file: to list all of it as damage would help nobody.
        Ok(_) | Err(Error::Unsupported { .. }) => return Ok(problems),
        Err(error) => problems.push(Problem::of_error(name.clone(), &error)),
    }
    if file.len() != meta.file_bytes {
        let what = format!("the file has {} bytes, {} expected", file.len(), meta.file_bytes);
        let (least, most) = (file.len().min(meta.file_bytes), file.len().max(meta.file_bytes));
        problems.push(Problem::of_range(&name, least, most - least, &what));
    }
    let mut salvage = TableSalvage::open(file, header)?;
    while salvage.advance()? {}
    let damage = salvage.damage().iter();
    problems
        .extend(damage.map(|part| Problem::of_range(&name, part.offset, part.bytes, part.what)));
    problems.sort_by_key(|problem| problem.offset);
    Ok(problems)
}

/// All damaged parts of a segment.
fn segment_damage(fs: &dyn Fs, name: &str) -> Result<Vec<Problem>> {
    let header = read_header(fs, name, FileKind::Wal)?;
    let mut reader = SalvageReader::new(fs.open(name)?, name, header)?;
    let mut problems = Vec::new();
    while let Some(part) = reader.next_part()? {
        if let Salvaged::Gap(gap) = part {
            problems.push(Problem::of_range(name, gap.file_offset, gap.bytes, gap.what));
        }
    }
    Ok(problems)
}

fn check_table(
    fs: &dyn Fs,
    loaded: &LoadedManifest,
    meta: &TableMeta,
    deep: bool,
) -> Result<VerifiedFile> {
    let name = meta.file_name();
    // Before index and filter are read, not just before the blocks.
    fs.open(&name)?.drop_cache()?;
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
) {
    // A segment that cannot be read fails its own check below.
    let log_end = LogEnd::find(fs, segments, loaded).unwrap_or_default();
    let mut sequence = Sequence::after(loaded.state.flushed_through);
    for (&id, name) in segments {
        match check_segment(fs, (id, name), &loaded.state, &log_end, &mut sequence) {
            Ok(file) => report.files.push(file),
            Err(error) => {
                sequence = Sequence::behind_damage();
                let damage = segment_damage(fs, name).unwrap_or_default();
                report.add_problems(name.clone(), &error, damage);
            }
        }
    }
}

fn check_segment(
    fs: &dyn Fs,
    (id, name): (u64, &str),
    state: &ManifestState,
    log_end: &LogEnd,
    sequence: &mut Sequence,
) -> Result<VerifiedFile> {
    let mut reader = SegmentReader::open(fs, id, name, state)?;
    let mut items = 0;
    while let Some(record) = reader.next_record()? {
        let batch = DecodedBatch::decode(record.payload, name, record.file_offset)?;
        sequence.check(&batch, name, record.file_offset)?;
        items += 1;
    }
    reader.check_end(log_end)?;
    Ok(VerifiedFile { name: name.into(), items, torn_bytes: reader.torn_bytes().unwrap_or(0) })
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
        edits.push(decode_edit(&record, seed, name)?);
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
