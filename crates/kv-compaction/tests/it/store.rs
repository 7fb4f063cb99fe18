//! A small single-threaded store out of this crate's parts: what an engine
//! does with them, without log and manifest.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use kv_compaction::{
    Busy, KeyCoverage, KeySpan, Plan, Policy, RetentionRule, RewriteContext, RewriteOptions,
    Rewritten, TableMeta, TableRef, Version, VersionEdit, rewrite,
};
use kv_core::{
    DatabaseId, FileHeader, FileKind, Kind, MergeCursor, OwnedEntry, Result, SeqNo, VecCursor,
};
use kv_env::{Fs, SimDisk};
use kv_sstable::{
    BlockCache, CursorPurpose, ExpectedTable, KeyHash, ReadMode, Table, TableCursor, TableOptions,
};

pub(crate) const DATABASE: DatabaseId = DatabaseId([3; 16]);

/// A table with its description, as an engine holds it.
#[derive(Clone)]
pub(crate) struct OpenTable {
    pub(crate) meta: TableMeta,
    pub(crate) table: Arc<Table>,
}

impl TableRef for OpenTable {
    fn meta(&self) -> &TableMeta {
        &self.meta
    }
}

/// A clock that says which values have expired: a value is the time it lives to.
#[derive(Debug, Default)]
pub(crate) struct Expiry {
    pub(crate) now: AtomicU64,
}

impl RetentionRule for Expiry {
    fn is_expired(&self, _key: &[u8], value: &[u8]) -> bool {
        lives_until(value) <= self.now.load(Relaxed)
    }
}

fn lives_until(value: &[u8]) -> u64 {
    u64::from_le_bytes(value.try_into().expect("a value is a time"))
}

pub(crate) fn header(file_id: u64) -> FileHeader {
    let mut file_uid = [0; 16];
    file_uid[..8].copy_from_slice(&file_id.to_le_bytes());
    FileHeader { kind: FileKind::Table, database_id: DATABASE, file_id, file_uid }
}

pub(crate) fn open(fs: &dyn Fs, meta: &TableMeta) -> Result<Arc<OpenTable>> {
    let expected =
        ExpectedTable { database_id: DATABASE, file_id: meta.id, file_bytes: meta.file_bytes };
    let cache = BlockCache::new(1 << 16);
    let table = Table::open(fs, &meta.file_name(), expected, ReadMode::Pread, cache)?;
    assert_eq!(table.summary().checksum, meta.checksum);
    Ok(Arc::new(OpenTable { meta: meta.clone(), table }))
}

pub(crate) struct Store {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) version: Version<OpenTable>,
    pub(crate) policy: Policy,
    pub(crate) busy: Busy,
    pub(crate) expiry: Expiry,
    pub(crate) forget_seqnos: bool,
    memtable: Vec<OwnedEntry>,
    next_seqno: u64,
    next_id: u64,
}

impl Store {
    pub(crate) fn new(fs: Arc<dyn Fs>, policy: Policy) -> Store {
        Store {
            fs,
            version: Version::new(),
            policy,
            busy: Busy::default(),
            expiry: Expiry::default(),
            forget_seqnos: false,
            memtable: Vec::new(),
            next_seqno: 1,
            next_id: 1,
        }
    }

    /// Puts a value that lives until `time`, or deletes.
    pub(crate) fn write(&mut self, key: &[u8], time: Option<u64>) {
        let kind = if time.is_some() { Kind::Put } else { Kind::Delete };
        let value = time.map_or(Vec::new(), |time| time.to_le_bytes().to_vec());
        let seqno = SeqNo(self.next_seqno);
        self.next_seqno += 1;
        self.memtable.push(OwnedEntry { key: key.to_vec(), seqno, kind, value });
    }

    /// Until when the value of `key` lives, if a reader sees one.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<u64>> {
        let alive = |value: &[u8]| {
            let time = lives_until(value);
            (time > self.expiry.now.load(Relaxed)).then_some(time)
        };
        if let Some(entry) = self.memtable.iter().rev().find(|entry| entry.key == key) {
            return Ok((entry.kind == Kind::Put).then(|| alive(&entry.value)).flatten());
        }
        let hash = KeyHash::of(DATABASE, key);
        for open in self.version.candidates(key) {
            if let Some(found) = open.table.get(key, hash)? {
                return Ok(found.into_value().and_then(|value| alive(&value)));
            }
        }
        Ok(None)
    }

    /// Turns the memory table into tables of level 0. With `drop_deletes` the
    /// deletes of keys that no table can hold are left out.
    pub(crate) fn flush(&mut self, drop_deletes: bool) -> Result<()> {
        let entries = std::mem::take(&mut self.memtable);
        let mut options = RewriteOptions::flush(table_options(), &self.policy);
        options.expected_entries = Some(entries.len() as u64);
        if drop_deletes {
            let everything = KeySpan::new(*b"", vec![0xff; 8]);
            options.below = self.version.coverage(0, &everything);
        }
        let flushed = self.rewrite(VecCursor::new(entries), &options)?;
        let added = flushed.tables.into_iter().map(|meta| (0, meta)).collect();
        self.install(&VersionEdit { added, ..VersionEdit::default() })
    }

    /// Carries out a plan that was begun, and ends it.
    pub(crate) fn carry_out(&mut self, plan: &Plan) -> Result<()> {
        let outcome = self.compact(plan).and_then(|edit| self.install(&edit));
        self.busy.end(plan);
        outcome
    }

    /// The edit that the plan leads to.
    pub(crate) fn compact(&mut self, plan: &Plan) -> Result<VersionEdit> {
        let groups = plan.input_tables(&self.version)?;
        let inputs: Vec<Arc<OpenTable>> =
            groups.into_iter().flat_map(|(_, tables)| tables).collect();
        if plan.trivial_move {
            assert_eq!(plan.below, KeyCoverage::Everything);
            return Ok(plan.edit(inputs.iter().map(|open| open.meta.clone())));
        }
        let cursors: Vec<TableCursor> =
            inputs.iter().map(|open| open.table.cursor(CursorPurpose::Background)).collect();
        let mut options = RewriteOptions::compaction(table_options(), &self.policy, plan);
        options.forget_seqnos = self.forget_seqnos;
        let rewritten = self.rewrite(MergeCursor::new(cursors), &options)?;
        Ok(plan.edit(rewritten.tables))
    }

    fn rewrite(
        &mut self,
        input: impl kv_core::Cursor,
        options: &RewriteOptions,
    ) -> Result<Rewritten> {
        let next_id = &mut self.next_id;
        let mut allocate = || {
            let id = *next_id;
            *next_id += 1;
            Ok(header(id))
        };
        let context = RewriteContext {
            fs: &*self.fs,
            allocate: &mut allocate,
            retention: Some(&self.expiry),
            cancel: &AtomicBool::new(false),
        };
        Ok(rewrite(input, options, context)?.expect("nobody cancels"))
    }

    /// Makes an edit real and removes the files that it makes obsolete.
    fn install(&mut self, edit: &VersionEdit) -> Result<()> {
        let fs = Arc::clone(&self.fs);
        self.fs.sync_dir()?;
        let names: Vec<String> = edit
            .obsolete_ids()
            .map(|id| {
                let found = self.version.tables().find(|(_, open)| open.meta.id == id);
                found.expect("a removed table is there").1.meta.file_name()
            })
            .collect();
        self.version = self.version.apply(edit, |meta| open(&*fs, meta))?;
        names.iter().try_for_each(|name| fs.remove(name))
    }

    /// The table files that are there and those that should be.
    pub(crate) fn files(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let found = self.fs.list().unwrap().into_iter().map(|entry| entry.name).collect();
        let named = self.version.tables().map(|(_, open)| open.meta.file_name()).collect();
        (found, named)
    }
}

pub(crate) fn table_options() -> TableOptions {
    TableOptions { block_bytes: 64, ..TableOptions::default() }
}

pub(crate) fn store(policy: Policy) -> (SimDisk, Store) {
    let disk = SimDisk::new(1);
    let store = Store::new(disk.fs(), policy);
    (disk, store)
}
