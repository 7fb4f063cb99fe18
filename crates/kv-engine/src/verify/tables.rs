//! Checking one table: by what the manifest says of it, or by itself.

use std::sync::Arc;

use kv_compaction::TableMeta;
use kv_core::{DatabaseId, Error, FILE_HEADER_BYTES, FileHeader, FileKind, Result};
use kv_env::{Fs, ReadFile};
use kv_sstable::{BlockCache, ReadMode, TableSalvage};

use crate::inspect::open_table_file;
use crate::lenient::{self, FoundHeader};
use crate::live_table::open_table;
use crate::verify::report::{Basis, Problem, VerifiedFile, VerifyReport};

/// Where a file header holds the id.
const FILE_ID_OFFSET: u64 = 40;

/// Checks a table that the manifest names.
pub(super) fn check_named(
    fs: &dyn Fs,
    database_id: DatabaseId,
    meta: &TableMeta,
    deep: bool,
    report: &mut VerifyReport,
) {
    let name = meta.file_name();
    match read_named(fs, database_id, meta, deep) {
        Ok(items) => report.files.push(sound(name, Basis::Manifest, items)),
        Err(error) => {
            let header = FileHeader {
                kind: FileKind::Table,
                database_id,
                file_id: meta.id,
                file_uid: meta.file_uid,
            };
            let damage = damage(fs, &name, header, Some(meta.file_bytes)).unwrap_or_default();
            report.add_problems(&name, &error, damage);
        }
    }
}

/// Checks a table of which nothing is known but its file.
pub(super) fn check_alone(
    fs: &dyn Fs,
    (number, name): (u64, &str),
    database_id: DatabaseId,
    deep: bool,
    report: &mut VerifyReport,
) {
    let header = match header_of(fs, name) {
        Ok(FoundHeader::Unreadable) => {
            let what = "the header of the file is damaged, and no manifest names it: nothing \
                        else in it can be judged";
            let problem = Problem::of_range(name, 0, FILE_HEADER_BYTES as u64, what);
            return report.problems.push(problem);
        }
        Ok(FoundHeader::Intact(header) | FoundHeader::Mended(header)) => header,
        Err(error) => return report.problems.push(Problem::of_error(name, &error)),
    };
    if header.database_id != database_id {
        return report.foreign.push(name.into());
    }
    if header.file_id != number {
        let what = format!("the header says table {}", header.file_id);
        report.problems.push(Problem::of_range(name, FILE_ID_OFFSET, 8, &what));
        return;
    }
    match read_alone(fs, name, deep) {
        Ok(items) => report.files.push(sound(name.into(), Basis::FileAlone, items)),
        Err(error) => {
            let damage = damage(fs, name, header, None).unwrap_or_default();
            report.add_problems(name, &error, damage);
        }
    }
}

fn sound(name: String, judged_by: Basis, items: u64) -> VerifiedFile {
    VerifiedFile { name, judged_by, items, torn_bytes: 0, damaged_stamps: 0 }
}

fn header_of(fs: &dyn Fs, name: &str) -> Result<FoundHeader> {
    lenient::read_header(&*lenient::open(fs, name)?, FileKind::Table, name)
}

fn read_named(fs: &dyn Fs, database_id: DatabaseId, meta: &TableMeta, deep: bool) -> Result<u64> {
    let name = meta.file_name();
    // Before index and filter are read, not just before the blocks.
    fs.open(&name)?.drop_cache()?;
    let table = open_table(fs, meta, database_id, ReadMode::Pread, BlockCache::new(0))?;
    let report = table.verify(deep)?;
    if report.entries != meta.entries {
        let what = format!("{} entries where the manifest has {}", report.entries, meta.entries);
        return Err(Error::corruption(name, 0, what));
    }
    Ok(report.entries)
}

fn read_alone(fs: &dyn Fs, name: &str, deep: bool) -> Result<u64> {
    fs.open(name)?.drop_cache()?;
    Ok(open_table_file(fs, name)?.verify(deep)?.entries)
}

/// All damaged parts of a table whose header should be `header`.
fn damage(
    fs: &dyn Fs,
    name: &str,
    header: FileHeader,
    file_bytes: Option<u64>,
) -> Result<Vec<Problem>> {
    let file = lenient::open(fs, name)?;
    let mut problems = Vec::new();
    let mut bytes = [0; FILE_HEADER_BYTES];
    let got = file.read_at(0, &mut bytes)?;
    match FileHeader::decode(FileKind::Table, name, &bytes[..got]) {
        Ok(found) if found == header => {}
        // Another file: to list all of it as damage would help nobody.
        Ok(_) | Err(Error::Unsupported { .. }) => return Ok(problems),
        Err(error) => problems.push(Problem::of_error(name, &error)),
    }
    if let Some(expected) = file_bytes.filter(|&expected| expected != file.len()) {
        let what = format!("the file has {} bytes, {expected} expected", file.len());
        let (least, most) = (file.len().min(expected), file.len().max(expected));
        problems.push(Problem::of_range(name, least, most - least, &what));
    }
    let mut salvage = TableSalvage::open(Arc::clone(&file) as Arc<dyn ReadFile>, header)?;
    while salvage.advance()? {}
    let damage = salvage.damage().iter();
    problems.extend(damage.map(|part| Problem::of_range(name, part.offset, part.bytes, part.what)));
    let unreadable = file.unreadable().into_iter();
    problems.extend(
        unreadable.map(|range| Problem::of_device(name, range.start, range.end - range.start)),
    );
    problems.sort_by_key(|problem| problem.offset);
    Ok(problems)
}
