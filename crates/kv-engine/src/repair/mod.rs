//! Salvage: what can be proven of a damaged database, as a new one.
//!
//! 1. Lock the source, which is never changed, and the target, which is empty.
//! 2. Read the manifest, or what is left of it ([`catalog`]).
//! 3. Look at every table ([`tables`]) and read the log ([`log`]); the log's
//!    writes go to tables of the target, so memory stays bounded ([`spill`]).
//! 4. Merge everything by key and sequence number, newest first, into tables of
//!    the last level ([`merge`]). The newest known write of a key decides: a
//!    delete that is known keeps older values from coming back.
//! 5. Set damaged bytes aside in the target, write its manifest, and check the
//!    new database as a whole.
//!
//! Until its manifest is written the target is not a database: an interrupted
//! repair is repeated into another empty directory.

mod catalog;
mod escape;
mod forward;
mod log;
mod merge;
mod report;
mod spill;
mod tables;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use kv_compaction::{
    KeyCoverage, LAST_LEVEL, RewriteOptions, Rewritten, TableMeta, TableOrigin, Version,
    VersionEdit,
};
use kv_core::{Cursor, DatabaseId, Error, Result, SeqNo};
use kv_env::{DirLock, Env};
use kv_sstable::{BlockCache, CursorPurpose, ReadMode, TableOptions};

use crate::lenient;
use crate::live_table::{Garbage, LiveTable, open_table};
use crate::manifest::{Manifest, ManifestState as Numbers};
use crate::manifest_load::Listing;
use crate::names::{self, QUARANTINE};
use crate::quarantine;
use crate::recovery::no_database;
use crate::scrub::ScrubPlace;
use crate::verify::verify_directory;
use forward::ForwardCursor;
use log::{LogSalvage, Segments, Wanted};
use merge::{Seen, Watched};
use spill::{Output, Spill};
use tables::{Chain, FoundTable};

pub(crate) use catalog::Catalog;
pub use escape::escape_bytes;
pub use report::{
    DamagedRange, FileUse, LostWrites, ManifestState, RepairReport, RepairedFile, RepairedKind,
};

/// What a repair keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// Every write that is proven, also behind a gap. Most data; the state as
    /// a whole may be one that never was.
    #[default]
    Proven,
    /// Of the log, only what comes before its first lost record: a state that
    /// was, if the tables are whole.
    Prefix,
}

/// How to repair.
#[derive(Debug, Clone, Default)]
pub struct RepairOptions {
    /// What to keep.
    pub keep: Keep,
    /// Shape of the new tables.
    pub table: TableOptions,
}

/// Salvages the database in the directory of `source` into that of `target`,
/// which must be empty. The source is not changed, but for its lock file.
///
/// Time: every file is read twice, and what is kept is written once and read
/// once more. Memory: at most some 64 MiB for the log, and on top of that its
/// largest record twice, or what stands behind a torn one; a block for each level
/// of the tree, and index and filter of the table being written.
///
/// # Errors
/// `Locked` if the source is open; `InvalidArgument` if the target is not empty;
/// `Io` if there is no database, if the target cannot be written, if a file of the
/// source cannot even be opened or memory is lacking; `Corruption` if a device reads
/// differently each time, or if the check of the new database fails. Damage in the
/// source is never an error. After an error the target is of no use.
pub fn repair(source: &Env, target: &Env, options: &RepairOptions) -> Result<RepairReport> {
    options.table.validate()?;
    if Listing::read(&*source.fs)?.is_empty() {
        return Err(no_database(source));
    }
    if !target.fs.list()?.is_empty() {
        let what = format!("{} is not empty; name a new directory", target.fs.describe());
        return Err(Error::InvalidArgument(what));
    }
    let source_lock = lock_source(source)?;
    let target_lock = target.fs.lock(names::LOCK)?;
    let mut repair = Repair::start(source, target, options)?;
    if source.fs.list()?.iter().any(|entry| entry.name == QUARANTINE) {
        let warning = "what was set aside in quarantine/ of the source before is not copied";
        repair.report.warnings.push(warning.into());
    }
    if source_lock.is_none() {
        let warning = "the source could not be locked, for nothing in it can be written";
        repair.report.warnings.push(warning.into());
    }
    repair.run(target_lock)
}

/// Locks a database that is only read. A failing device is often mounted for reading
/// only: then there can be no lock, and no engine either.
pub(crate) fn lock_source(source: &Env) -> Result<Option<Box<dyn DirLock>>> {
    match source.fs.lock(names::LOCK) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            Ok(None)
        }
        lock => lock.map(Some),
    }
}

/// A repair under way.
struct Repair<'a> {
    source: &'a Env,
    target: &'a Env,
    options: &'a RepairOptions,
    listing: Listing,
    report: RepairReport,
}

impl<'a> Repair<'a> {
    fn start(source: &'a Env, target: &'a Env, options: &'a RepairOptions) -> Result<Repair<'a>> {
        let listing = Listing::read(&*source.fs)?;
        let report = RepairReport { foreign: listing.foreign.clone(), ..RepairReport::default() };
        Ok(Repair { source, target, options, listing, report })
    }

    fn run(mut self, target_lock: Box<dyn DirLock>) -> Result<RepairReport> {
        let fs = &*self.source.fs;
        let mut segments = Segments::find(fs, &self.listing.segments)?;
        let catalog = self.catalog(&segments)?;
        segments.identify(fs, &catalog)?;
        let database_id = self.database_id(&catalog, &segments)?;
        let names = &self.listing.tables;
        let tables = tables::survey(fs, names, &catalog, database_id, &mut self.report)?;
        let output = Output {
            env: self.target,
            database_id: DatabaseId(self.target.entropy.random_id()),
            table: self.options.table.clone(),
            next_file_id: 1,
        };
        let (log_tables, covered, output) =
            self.read_log(&catalog, database_id, &segments, &tables, output)?;
        self.judge_order();
        let (rewritten, output) = self.merge(tables, &log_tables, output)?;
        self.set_damage_aside()?;
        self.install(rewritten, covered, &output)?;
        drop(target_lock);
        self.check()?;
        Ok(self.report)
    }

    fn catalog(&mut self, segments: &Segments) -> Result<Catalog> {
        let mut catalog = Catalog::read(self.source, &self.listing, &mut self.report)?;
        if catalog.state == ManifestState::Whole
            && let Some(name) = segments.unknown_to(&*self.source.fs, &catalog)?
        {
            self.report.warnings.push(format!(
                "the manifest does not know {name}: it is an older copy, and tables that it \
                 does not name are used as well; deleted keys may have come back"
            ));
            catalog.state = ManifestState::Partial;
        }
        self.report.manifest = catalog.state;
        Ok(catalog)
    }

    /// The database that is meant: the manifest's, else that of most files.
    fn database_id(&self, catalog: &Catalog, segments: &Segments) -> Result<DatabaseId> {
        if let Some(id) = catalog.database_id {
            return Ok(id);
        }
        let mut ids = segments.database_ids.clone();
        for (_, name) in &self.listing.tables {
            let file = lenient::open(&*self.source.fs, name)?;
            let found = lenient::read_header(&*file, kv_core::FileKind::Table, name)?;
            ids.extend(found.header().map(|header| header.database_id));
        }
        Ok(lenient::most_common(&ids).unwrap_or_default())
    }

    /// Brings the log into tables of the target. Says also up to where writes
    /// are known.
    fn read_log(
        &mut self,
        catalog: &Catalog,
        database_id: DatabaseId,
        segments: &Segments,
        tables: &[FoundTable],
        output: Output<'a>,
    ) -> Result<(Vec<TableMeta>, SeqNo, Output<'a>)> {
        let in_tables = tables.iter().map(|table| table.largest_seqno).max().unwrap_or_default();
        let flushed = catalog.numbers.flushed_through;
        let wanted = Wanted {
            after: match catalog.state {
                ManifestState::Lost => SeqNo::ZERO,
                _ => flushed,
            },
            covered: flushed.max(in_tables),
            prefix_only: self.options.keep == Keep::Prefix,
        };
        let mut spill = Spill::new(output);
        let mut log = LogSalvage {
            fs: &*self.source.fs,
            catalog,
            database_id,
            wanted,
            report: &mut self.report,
            spill: &mut spill,
            expected: wanted.covered.plus(1),
            trailing: None,
            last_read: None,
        };
        let covered = log.run(segments)?;
        let (tables, output) = spill.finish()?;
        Ok((tables, covered, output))
    }

    /// Whether what is kept is a state that was.
    fn judge_order(&mut self) {
        let are_tables_whole = self.report.files.iter().all(|file| {
            file.kind != RepairedKind::Table
                || match file.used {
                    FileUse::Used => !file.loses_data(),
                    FileUse::NotNeeded => true,
                    FileUse::Missing | FileUse::Unreadable => false,
                }
        });
        let has_inner_gap = self.report.lost_writes.iter().any(|lost| lost.last.is_some());
        self.report.is_prefix = self.report.manifest == ManifestState::Whole
            && are_tables_whole
            && (self.options.keep == Keep::Prefix || !has_inner_gap);
    }

    /// Writes the newest version of every key, unless it is a delete.
    fn merge(
        &mut self,
        tables: Vec<FoundTable>,
        log_tables: &[TableMeta],
        mut output: Output<'a>,
    ) -> Result<(Rewritten, Output<'a>)> {
        let fs: &dyn kv_env::Fs = &*self.source.fs;
        let mut sources: Vec<Box<dyn Cursor + '_>> = Vec::new();
        for meta in log_tables {
            let cache = BlockCache::new(0);
            let id = output.database_id;
            let table = open_table(&*self.target.fs, meta, id, ReadMode::Pread, cache)?;
            sources.push(Box::new(table.cursor(CursorPurpose::Background)));
        }
        for chain in tables::chains(tables) {
            sources.push(Box::new(ForwardCursor::new(Chain::new(fs, chain))));
        }
        let mut seen = Seen::default();
        let merged = ForwardCursor::new(Watched::new(sources, &mut seen));
        let rewritten = output.write(merged, |table, policy| RewriteOptions {
            origin: TableOrigin::Compaction,
            below: KeyCoverage::NOTHING,
            input_name: "salvaged entries".into(),
            ..RewriteOptions::flush(table, policy)
        })?;
        for meta in log_tables {
            self.target.fs.remove(&meta.file_name())?;
        }
        self.report.keys = rewritten.entries_written;
        self.report.deleted_keys = rewritten.deletes_dropped;
        self.report.last_seqno = seen.last_seqno.0;
        self.report.unordered_keys = seen.unordered_keys;
        self.report.unordered_examples = seen.unordered_examples;
        Ok((rewritten, output))
    }

    /// Copies every damaged range of a file that is there.
    fn set_damage_aside(&mut self) -> Result<()> {
        let (source, target) = (&*self.source.fs, &*self.target.fs);
        for file in &mut self.report.files {
            if matches!(file.used, FileUse::Missing) {
                continue;
            }
            for range in &mut file.damage {
                let from = lenient::open(source, &file.name)?;
                let end = (range.offset + range.bytes).min(kv_env::ReadFile::len(&*from));
                if range.offset >= end {
                    continue;
                }
                let name = names::part_in_quarantine(&file.name, range.offset);
                target.create_dir(QUARANTINE)?;
                match quarantine::copy((&file.name, &*from), range.offset..end, target, &name) {
                    // Two defects may start at one place; the bytes are the same.
                    Err(Error::Io { source, .. })
                        if source.kind() == io::ErrorKind::AlreadyExists => {}
                    outcome => {
                        outcome?;
                        range.kept_as = Some(name);
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes the manifest: from here on the target is a database.
    fn install(&self, rewritten: Rewritten, covered: SeqNo, output: &Output<'_>) -> Result<()> {
        let fs = &*self.target.fs;
        fs.sync_dir()?;
        let numbers = Numbers {
            flushed_through: covered.max(SeqNo(self.report.last_seqno)),
            oldest_segment: 1,
            newest_segment: 0,
            segment_uids: BTreeMap::new(),
            segment_ends: BTreeMap::new(),
            next_file_id: output.next_file_id,
            scrub: ScrubPlace::default(),
        };
        let added = rewritten.tables.into_iter().map(|meta| (LAST_LEVEL as u32, meta)).collect();
        let edit = VersionEdit { added, ..VersionEdit::default() };
        let garbage = Arc::new(Garbage::default());
        let version = Version::new().apply(&edit, |meta| {
            let cache = BlockCache::new(0);
            let table = open_table(fs, meta, output.database_id, ReadMode::Pread, cache)?;
            Ok(Arc::new(LiveTable::new(meta.clone(), table, Arc::clone(&garbage))))
        })?;
        let id = output.database_id;
        Manifest::create(self.target, 1, id, numbers, Arc::new(version))?
            .finish(output.next_file_id, ScrubPlace::default())
    }

    /// The new database must pass every check.
    fn check(&self) -> Result<()> {
        let verified = verify_directory(self.target, true)?;
        match verified.problems.first() {
            None => Ok(()),
            Some(problem) => {
                Err(Error::corruption(problem.file.as_str(), 0, problem.what.as_str()))
            }
        }
    }
}
