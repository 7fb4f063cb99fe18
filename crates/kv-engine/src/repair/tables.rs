//! The tables of the source: which of them count, and what is left of them.
//!
//! Each table that counts is read twice: once to see what is damaged and which
//! keys it spans, once to merge it. So memory does not grow with the data.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kv_compaction::TableMeta;
use kv_core::{DatabaseId, Error, FILE_HEADER_BYTES, FileHeader, FileKind, Kind, Result, SeqNo};
use kv_env::{Fs, ReadFile};
use kv_sstable::{TableDamage, TableSalvage};

use crate::lenient::{self, FoundHeader, LenientFile};
use crate::repair::catalog::Catalog;
use crate::repair::escape::escape_bytes;
use crate::repair::forward::Forward;
use crate::repair::report::{
    DamagedRange, FileUse, ManifestState, RepairReport, RepairedFile, RepairedKind,
};

/// A table that counts and has entries.
#[derive(Debug, Clone)]
pub(super) struct FoundTable {
    name: String,
    header: FileHeader,
    entries: u64,
    smallest_key: Vec<u8>,
    largest_key: Vec<u8>,
    pub(super) largest_seqno: SeqNo,
}

/// Looks at every table file and every table that should be there.
pub(super) fn survey(
    fs: &dyn Fs,
    names: &[(u64, String)],
    catalog: &Catalog,
    database_id: DatabaseId,
    report: &mut RepairReport,
) -> Result<Vec<FoundTable>> {
    let mut missing: BTreeMap<u64, &TableMeta> =
        catalog.tables.iter().map(|(id, meta)| (*id, meta)).collect();
    let mut tables = Vec::new();
    for (number, name) in names {
        let file = lenient::open(fs, name)?;
        let found = lenient::read_header(&*file, FileKind::Table, name)?;
        let by_name = catalog.tables.get(number).filter(|meta| meta.file_name() == *name);
        let is_damaged = !matches!(found, FoundHeader::Intact(_));
        let header = match (found.header(), by_name) {
            (Some(header), _) => header,
            (None, Some(meta)) => header_of(meta, database_id),
            (None, None) => {
                report.files.push(without_header(name, *number, file.len(), catalog));
                continue;
            }
        };
        if header.database_id != database_id {
            report.foreign.push(name.clone());
            continue;
        }
        let meta = catalog.tables.get(&header.file_id).filter(|meta| is_meant(meta, &header));
        if meta.is_none() && !may_count(catalog, header.file_id) {
            let kind = RepairedKind::Table;
            let file = RepairedFile::new(name.clone(), kind, FileUse::NotNeeded, file.len());
            report.files.push(file);
            continue;
        }
        missing.remove(&header.file_id);
        let (mut seen, table) = examine(file, name, header, meta)?;
        if is_damaged {
            let reason = "the header of the file is damaged";
            let header_bytes = seen.bytes.min(FILE_HEADER_BYTES as u64);
            seen.damage.insert(0, DamagedRange::new(0, header_bytes, reason, false));
        }
        report.files.push(seen);
        tables.extend(table);
    }
    report.files.extend(missing.into_values().map(missing_table));
    Ok(tables)
}

fn is_meant(meta: &TableMeta, header: &FileHeader) -> bool {
    meta.file_uid == header.file_uid
}

/// Whether a table that the manifest does not name may belong to the tree.
fn may_count(catalog: &Catalog, id: u64) -> bool {
    // One of the same number but other identity is a copy of another time.
    let is_known = catalog.tables.contains_key(&id) || catalog.removed.contains(&id);
    catalog.state != ManifestState::Whole && !is_known
}

fn header_of(meta: &TableMeta, database_id: DatabaseId) -> FileHeader {
    FileHeader { kind: FileKind::Table, database_id, file_id: meta.id, file_uid: meta.file_uid }
}

/// Without its header a table that nothing else describes proves nothing.
fn without_header(name: &str, number: u64, bytes: u64, catalog: &Catalog) -> RepairedFile {
    let used = if may_count(catalog, number) { FileUse::Unreadable } else { FileUse::NotNeeded };
    let mut file = RepairedFile::new(name.into(), RepairedKind::Table, used, bytes);
    if used == FileUse::Unreadable {
        let reason = "the header of the file is damaged, and no manifest names it";
        file.damage.push(DamagedRange::new(0, bytes, reason, true));
    }
    file
}

fn missing_table(meta: &TableMeta) -> RepairedFile {
    let kind = RepairedKind::Table;
    let mut file = RepairedFile::new(meta.file_name(), kind, FileUse::Missing, 0);
    file.lost_entries = Some(meta.entries);
    file.damage.push(DamagedRange {
        from_key: Some(escape_bytes(&meta.smallest_key)),
        to_key: Some(escape_bytes(&meta.largest_key)),
        ..DamagedRange::new(0, meta.file_bytes, "the file is missing", true)
    });
    file
}

/// Walks a table to its end.
fn examine(
    file: Arc<LenientFile>,
    name: &str,
    header: FileHeader,
    meta: Option<&TableMeta>,
) -> Result<(RepairedFile, Option<FoundTable>)> {
    let bytes = file.len();
    let mut salvage = TableSalvage::open(Arc::clone(&file) as Arc<dyn ReadFile>, header)?;
    let mut table = FoundTable {
        name: name.into(),
        header,
        entries: 0,
        smallest_key: Vec::new(),
        largest_key: Vec::new(),
        largest_seqno: SeqNo::ZERO,
    };
    while salvage.advance()? {
        if table.entries == 0 {
            table.smallest_key = salvage.key().to_vec();
        }
        table.entries += 1;
        table.largest_key.clear();
        table.largest_key.extend_from_slice(salvage.key());
        table.largest_seqno = table.largest_seqno.max(salvage.seqno());
    }
    let mut seen = RepairedFile::new(name.into(), RepairedKind::Table, FileUse::Used, bytes);
    seen.records = salvage.blocks();
    seen.entries = table.entries;
    let entries_once =
        meta.map(|meta| meta.entries).or(salvage.properties().map(|properties| properties.entries));
    seen.lost_entries = entries_once.map(|once| once.saturating_sub(table.entries));
    seen.damage = salvage.damage().iter().map(describe).collect();
    if let Some(meta) = meta.filter(|meta| meta.file_bytes > bytes) {
        let reason = "the file is shorter than the manifest says";
        seen.damage.push(DamagedRange {
            from_key: (table.entries > 0).then(|| escape_bytes(&table.largest_key)),
            to_key: Some(escape_bytes(&meta.largest_key)),
            ..DamagedRange::new(bytes, meta.file_bytes - bytes, reason, true)
        });
    }
    let is_all_there = seen.lost_entries == Some(0);
    for range in &mut seen.damage {
        // Where the count is known it says more than what could not be read.
        range.loses_data &= !is_all_there;
    }
    for range in file.unreadable() {
        let reason = "the device cannot read this part";
        seen.damage.push(DamagedRange::new(range.start, range.end - range.start, reason, false));
    }
    seen.damage.sort_by_key(|range| range.offset);
    let has_entries = table.entries > 0;
    Ok((seen, has_entries.then_some(table)))
}

fn describe(damage: &TableDamage) -> DamagedRange {
    DamagedRange {
        from_key: damage.from_key.as_deref().map(escape_bytes),
        to_key: damage.to_key.as_deref().map(escape_bytes),
        ..DamagedRange::new(damage.offset, damage.bytes, damage.what, damage.holds_entries)
    }
}

/// Tables in as few chains as their keys allow: in a chain they are disjoint,
/// so that one of them is open at a time.
pub(super) fn chains(mut tables: Vec<FoundTable>) -> Vec<VecDeque<FoundTable>> {
    tables.sort_by(|a, b| a.smallest_key.cmp(&b.smallest_key));
    let mut chains: Vec<VecDeque<FoundTable>> = Vec::new();
    for table in tables {
        let is_behind = |chain: &&mut VecDeque<FoundTable>| {
            chain.back().is_some_and(|last| last.largest_key < table.smallest_key)
        };
        match chains.iter_mut().find(is_behind) {
            Some(chain) => chain.push_back(table),
            None => chains.push(VecDeque::from([table])),
        }
    }
    chains
}

/// The entries of a chain of tables.
pub(super) struct Chain<'a> {
    fs: &'a dyn Fs,
    left: VecDeque<FoundTable>,
    current: Option<(FoundTable, TableSalvage)>,
}

impl<'a> Chain<'a> {
    pub(super) fn new(fs: &'a dyn Fs, tables: VecDeque<FoundTable>) -> Chain<'a> {
        Chain { fs, left: tables, current: None }
    }

    fn salvage(&self) -> &TableSalvage {
        &self.current.as_ref().expect("the chain stands at an entry").1
    }
}

impl Forward for Chain<'_> {
    fn advance(&mut self) -> Result<bool> {
        loop {
            if let Some((table, salvage)) = &mut self.current {
                if salvage.advance()? {
                    return Ok(true);
                }
                if salvage.entries() != table.entries {
                    let what = "the file reads differently the second time: the device fails";
                    return Err(Error::corruption(table.name.as_str(), 0, what));
                }
            }
            let Some(next) = self.left.pop_front() else { return Ok(false) };
            let file = lenient::open(self.fs, &next.name)?;
            let salvage = TableSalvage::open(file, next.header)?;
            self.current = Some((next, salvage));
        }
    }

    fn key(&self) -> &[u8] {
        self.salvage().key()
    }
    fn seqno(&self) -> SeqNo {
        self.salvage().seqno()
    }
    fn kind(&self) -> Kind {
        self.salvage().kind()
    }
    fn value(&self) -> &[u8] {
        self.salvage().value()
    }
}
