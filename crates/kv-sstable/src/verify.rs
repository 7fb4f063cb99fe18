//! Checks a whole table.

use kv_core::{Error, Kind, Result, SeqNo};

use crate::block::{BlockCursor, BlockView, Entry};
use crate::defect::Defect;
use crate::key_hash::KeyHash;
use crate::properties::TableProperties;
use crate::readahead::Readahead;
use crate::table::Table;

/// What [`Table::verify`] has checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyReport {
    /// Data blocks.
    pub blocks: u64,
    /// Entries; those of the properties unless the check was deep.
    pub entries: u64,
}

pub(crate) fn verify(table: &Table, deep: bool) -> Result<VerifyReport> {
    // Best effort: pages that are mapped stay in memory.
    table.file.source.file()?.drop_cache()?;
    let mut readahead = Readahead::default();
    let mut audit = Audit::default();
    let blocks = table.file.index.block_count();
    for number in 0..blocks {
        readahead.read_block(&table.file, number)?;
        if deep {
            audit
                .check_block(table, number, readahead.block())
                .map_err(|defect| table.file.block_error(number, defect))?;
        }
    }
    if deep && audit.totals != Totals::stated_by(table.properties()) {
        let what = "the properties of the table contradict its entries";
        return Err(Error::corruption(&*table.file.name, table.file.data_end(), what));
    }
    Ok(VerifyReport { blocks: blocks as u64, entries: table.summary().entries })
}

/// What can be counted of the entries of a table.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    entries: u64,
    deletes: u64,
    key_bytes: u64,
    value_bytes: u64,
    block_bytes: u64,
    smallest_seqno: Option<SeqNo>,
    largest_seqno: Option<SeqNo>,
    last_key: Vec<u8>,
}

impl Totals {
    fn stated_by(properties: &TableProperties) -> Totals {
        Totals {
            entries: properties.entries,
            deletes: properties.deletes,
            key_bytes: properties.raw_key_bytes,
            value_bytes: properties.raw_value_bytes,
            block_bytes: properties.raw_block_bytes,
            smallest_seqno: Some(properties.smallest_seqno),
            largest_seqno: Some(properties.largest_seqno),
            last_key: properties.largest_key.clone(),
        }
    }

    fn add(&mut self, key: &[u8], entry: &Entry) {
        self.entries += 1;
        self.deletes += u64::from(entry.kind == Kind::Delete);
        self.key_bytes += key.len() as u64;
        self.value_bytes += entry.value_len() as u64;
        let seqno = entry.seqno;
        self.smallest_seqno = Some(self.smallest_seqno.map_or(seqno, |least| least.min(seqno)));
        self.largest_seqno = self.largest_seqno.max(Some(seqno));
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
    }
}

/// Walks the entries of all blocks in order.
#[derive(Default)]
struct Audit {
    totals: Totals,
    position: BlockCursor,
}

impl Audit {
    fn check_block(&mut self, table: &Table, number: usize, block: &[u8]) -> Result<(), Defect> {
        let view = BlockView::decode(block)?;
        self.totals.block_bytes += block.len() as u64;
        let separator = table.file.index.separator(number);
        if number > 0 && self.totals.last_key.as_slice() >= separator {
            return Err(Defect::Damaged("the block before holds keys of this block"));
        }
        self.position.seek_to_first(view)?;
        if self.position.key() < separator {
            return Err(Defect::Damaged("the block holds keys of the block before"));
        }
        let mut end = 0;
        for number in 0..view.count() {
            let Some(entry) = self.position.entry() else { break };
            if view.offset(number) != end {
                return Err(Defect::Damaged("the entries of the block leave gaps"));
            }
            end = entry.end;
            let key = self.position.key();
            let hash = KeyHash::of(table.header().database_id, key);
            if self.totals.entries > 0 && key <= self.totals.last_key.as_slice() {
                return Err(Defect::Damaged("the keys of the block are out of order"));
            }
            if view.tags()[number] != hash.tag() {
                return Err(Defect::Damaged("the hash index of the block contradicts its keys"));
            }
            if !table.may_contain(hash) {
                return Err(Defect::Damaged("the filter denies a key of the block"));
            }
            self.totals.add(key, entry);
            self.position.next(view)?;
        }
        if end != view.entries().len() {
            return Err(Defect::Damaged("the entries of the block leave gaps"));
        }
        Ok(())
    }
}
