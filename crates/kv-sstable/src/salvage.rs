//! Reading a damaged table: every block that proves itself, and the gaps.
//!
//! 1. Footer, index and properties are read where they pass their checksums.
//! 2. With an index, each block is read where the index says.
//! 3. Without one the blocks are searched ([`search`]): they stand one behind
//!    the other, and each is followed by a checksum over all of it.
//!
//! A block is believed if its checksum holds, which is seeded with the random
//! identity of the file and the block's offset, and if its entries are in order
//! and agree with their hash index.

mod search;

use std::fmt;
use std::sync::Arc;

use kv_core::{
    ChecksumSeed, DatabaseId, FILE_HEADER_BYTES, FileHeader, Kind, Result, SeqNo, decode_metadata,
};
use kv_env::ReadFile;

use crate::block::{BlockCursor, BlockView};
use crate::compression::{self, BLOCK_TRAILER_BYTES, Payload};
use crate::defect::Defect;
use crate::filter::Filter;
use crate::footer::{FOOTER_BYTES, Footer, Section};
use crate::index::{BlockHandle, Index};
use crate::key_hash::KeyHash;
use crate::properties::{PROPERTIES_VERSION, TableProperties};

/// A damaged part of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDamage {
    /// Where it starts in the file.
    pub offset: u64,
    /// Its length in the file.
    pub bytes: u64,
    /// Which check failed.
    pub what: &'static str,
    /// True if entries are lost with it; false for what only helps to find
    /// them.
    pub holds_entries: bool,
    /// No key below this one is lost; `None` if that is not known.
    pub from_key: Option<Vec<u8>>,
    /// No key above this one is lost; `None` if that is not known.
    pub to_key: Option<Vec<u8>>,
}

/// Walks the entries of a table that may be damaged anywhere, forwards.
///
/// Memory: one block, and the index where it is intact. Cost without an index:
/// a checksum step for every byte, and behind a damaged block a search at each
/// place where one could start: of 64 KiB, and besides of as many bytes as what
/// stands there says that a block has, which are 16 MiB for a compressed one and
/// the largest entry for another at most. Of random bytes one in some 25,000 is
/// such a place, and most of them ask for no more than 64 KiB.
pub struct TableSalvage {
    file: Arc<dyn ReadFile>,
    database_id: DatabaseId,
    seed: ChecksumSeed,
    index: Option<Index>,
    properties: Option<TableProperties>,
    /// Where the blocks end, as far as that is known.
    data_end: Option<u64>,
    damage: Vec<TableDamage>,
    /// The next block by number, or by offset where there is no index.
    number: usize,
    offset: u64,
    block: Vec<u8>,
    position: BlockCursor,
    has_entry: bool,
    last_key: Option<Vec<u8>>,
    entries: u64,
    blocks: u64,
    is_at_end: bool,
}

impl TableSalvage {
    /// Looks at `file`, whose header says `header` or would if it were intact:
    /// a wrong header finds no block.
    ///
    /// # Errors
    /// `Io`.
    pub fn open(file: Arc<dyn ReadFile>, header: FileHeader) -> Result<TableSalvage> {
        let mut salvage = TableSalvage {
            file,
            database_id: header.database_id,
            seed: header.seed(),
            index: None,
            properties: None,
            data_end: None,
            damage: Vec::new(),
            number: 0,
            offset: FILE_HEADER_BYTES as u64,
            block: Vec::new(),
            position: BlockCursor::default(),
            has_entry: false,
            last_key: None,
            entries: 0,
            blocks: 0,
            is_at_end: false,
        };
        salvage.read_sections()?;
        Ok(salvage)
    }

    /// What the table says of itself, if that is intact.
    pub fn properties(&self) -> Option<&TableProperties> {
        self.properties.as_ref()
    }

    /// The damage found so far; all of it once the end is reached.
    pub fn damage(&self) -> &[TableDamage] {
        &self.damage
    }

    /// Entries passed so far, the current one included.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Intact blocks found so far.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// To the next entry; false at the end.
    ///
    /// # Errors
    /// `Io`.
    pub fn advance(&mut self) -> Result<bool> {
        if self.has_entry {
            self.remember_key();
            // The whole block was walked once, when it was accepted: no move fails.
            let moved = BlockView::decode(&self.block).and_then(|view| self.position.next(view));
            self.has_entry = moved.is_ok_and(|()| self.position.entry().is_some());
        }
        if !self.has_entry {
            self.has_entry = self.load_next_block()?;
        }
        self.entries += u64::from(self.has_entry);
        Ok(self.has_entry)
    }

    /// Key of the current entry.
    pub fn key(&self) -> &[u8] {
        self.position.key()
    }

    /// Sequence number of the current entry.
    pub fn seqno(&self) -> SeqNo {
        self.position.entry().map_or(SeqNo::ZERO, |entry| entry.seqno)
    }

    /// Kind of the current entry.
    pub fn kind(&self) -> Kind {
        self.position.entry().map_or(Kind::Delete, |entry| entry.kind)
    }

    /// Value of the current entry.
    pub fn value(&self) -> &[u8] {
        self.position.entry().map_or(&[], |entry| &self.block[entry.value_start..entry.end])
    }

    fn remember_key(&mut self) {
        let last = self.last_key.get_or_insert_default();
        last.clear();
        last.extend_from_slice(self.position.key());
    }

    fn load_next_block(&mut self) -> Result<bool> {
        match self.index.take() {
            Some(index) => {
                let found = self.load_indexed(&index);
                self.index = Some(index);
                found
            }
            None => self.load_searched(),
        }
    }

    fn load_indexed(&mut self, index: &Index) -> Result<bool> {
        while self.number < index.block_count() {
            let number = self.number;
            self.number += 1;
            let handle = index.handle(number);
            match self.read_indexed(handle)? {
                Ok(()) => return Ok(true),
                Err(what) => self.damage.push(TableDamage {
                    offset: handle.offset,
                    bytes: handle.end() - handle.offset,
                    what,
                    holds_entries: true,
                    from_key: Some(index.separator(number).to_vec()),
                    to_key: if number + 1 < index.block_count() {
                        Some(index.separator(number + 1).to_vec())
                    } else {
                        self.properties.as_ref().map(|properties| properties.largest_key.clone())
                    },
                }),
            }
        }
        Ok(false)
    }

    fn read_indexed(&mut self, handle: BlockHandle) -> Result<Result<(), &'static str>> {
        let mut stored = vec![0; handle.stored_len as usize + BLOCK_TRAILER_BYTES];
        if !self.file.read_exact_at(handle.offset, &mut stored)? {
            return Ok(Err("the file ends before the end of the block"));
        }
        // Two copies of the checksum: one of them is enough of a proof.
        let (covered, trailer) = stored.split_last_chunk::<4>().expect("the trailer is longer");
        let checksum = self.seed.checksum(handle.offset, covered);
        if checksum != handle.checksum && checksum != u32::from_le_bytes(*trailer) {
            return Ok(Err("the block fails its checksum"));
        }
        Ok(self.accept(&stored).map_err(describe))
    }

    fn load_searched(&mut self) -> Result<bool> {
        let end = self.data_end.unwrap_or(self.file.len()).min(self.file.len());
        let start = self.offset;
        let mut at = start;
        while at < end {
            let found = search::block_at(&*self.file, self.seed, at, end)?;
            if let Some(stored) = found
                && self.accept(&stored).is_ok()
            {
                self.offset = at + stored.len() as u64;
                if at > start {
                    let to_key = Some(self.position.key().to_vec());
                    self.note_searched(start, at, "no intact block stands here", to_key);
                }
                return Ok(true);
            }
            let is_end_known = self.data_end == Some(end);
            match search::next_start(&*self.file, self.seed, at, start, (end, is_end_known))? {
                Some(next) => at = next,
                None => break,
            }
        }
        self.offset = end;
        self.note_end(start, end)?;
        Ok(false)
    }

    /// Notes what is missing behind the last block that was found.
    fn note_end(&mut self, start: u64, end: u64) -> Result<()> {
        if std::mem::replace(&mut self.is_at_end, true) {
            return Ok(());
        }
        match self.data_end {
            Some(_) if start >= end => {}
            Some(_) => self.note_searched(start, end, "no intact block stands here", None),
            None if self.is_followed_by_index(start, end)? => {}
            None => {
                let what = "no intact block stands here, and the end of the table is missing";
                self.note_searched(start.min(end), end, what, None);
            }
        }
        Ok(())
    }

    fn note_searched(&mut self, from: u64, to: u64, what: &'static str, to_key: Option<Vec<u8>>) {
        let bounds = self.properties.as_ref();
        let from_key = self
            .last_key
            .clone()
            .or_else(|| bounds.map(|properties| properties.smallest_key.clone()));
        let to_key = to_key.or_else(|| bounds.map(|properties| properties.largest_key.clone()));
        let damage = TableDamage {
            offset: from,
            bytes: to - from,
            what,
            holds_entries: true,
            from_key,
            to_key,
        };
        self.damage.push(damage);
    }

    /// Without a footer: true if the bytes behind the blocks that were found
    /// are the filter and the index of exactly these blocks.
    fn is_followed_by_index(&self, start: u64, end: u64) -> Result<bool> {
        const MOST_BYTES: u64 = 64 << 20;
        if start >= end || end - start > MOST_BYTES {
            return Ok(false);
        }
        let mut rest = vec![0; (end - start) as usize];
        if !self.file.read_exact_at(start, &mut rest)? {
            return Ok(false);
        }
        let filter_bytes = Filter::stored_len(&rest).filter(|&len| len <= rest.len());
        let starts = [Some(0), filter_bytes];
        Ok(starts.into_iter().flatten().any(|at| {
            let index = Index::stored_len(&rest[at..])
                .and_then(|len| rest.get(at..at + len))
                .and_then(|bytes| Index::decode(bytes, start).ok());
            index.is_some_and(|index| index.block_count() as u64 == self.blocks)
        }))
    }

    /// Makes the stored block, whose checksum holds, the current one if all of
    /// it can be believed, and stands at its first entry.
    fn accept(&mut self, stored: &[u8]) -> Result<(), Defect> {
        match compression::split(stored)? {
            Payload::Plain(block) => {
                self.block.clear();
                self.block.extend_from_slice(block);
            }
            Payload::Lz4(payload) => compression::decompress(payload, &mut self.block)?,
        }
        let view = BlockView::decode(&self.block)?;
        check_entries(view, self.last_key.as_deref(), self.database_id)?;
        self.position.seek_to_first(view)?;
        self.blocks += 1;
        Ok(())
    }

    fn read_sections(&mut self) -> Result<()> {
        let len = self.file.len();
        let Some(offset) = len.checked_sub(FOOTER_BYTES as u64) else { return Ok(()) };
        let mut bytes = [0; FOOTER_BYTES];
        if !self.file.read_exact_at(offset, &mut bytes)? {
            return Ok(());
        }
        let footer = match Footer::decode(&bytes, offset, self.seed) {
            Ok((footer, _)) => footer,
            Err(_) => {
                let what = "the footer is damaged or missing";
                self.note_section(offset, FOOTER_BYTES as u64, what);
                return Ok(());
            }
        };
        self.data_end = Some(footer.filter.offset);
        let index = self.read_section(footer.index)?;
        self.index = index.and_then(|bytes| Index::decode(&bytes, footer.filter.offset).ok());
        if self.index.is_none() {
            let section = footer.index;
            self.note_section(section.offset, section.len.into(), "the index is damaged");
        }
        let section = footer.properties;
        self.properties = self.read_section(section)?.and_then(|bytes| {
            decode_metadata(PROPERTIES_VERSION, &bytes, self.seed, section.offset, "").ok()
        });
        if self.properties.is_none() {
            self.note_section(section.offset, section.len.into(), "the properties are damaged");
        }
        if self.read_section(footer.filter)?.is_none() {
            let section = footer.filter;
            self.note_section(section.offset, section.len.into(), "the filter is damaged");
        }
        Ok(())
    }

    fn read_section(&self, section: Section) -> Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; section.len as usize];
        let is_whole = self.file.read_exact_at(section.offset, &mut bytes)?;
        let is_intact = is_whole && self.seed.checksum(section.offset, &bytes) == section.checksum;
        Ok(is_intact.then_some(bytes))
    }

    fn note_section(&mut self, offset: u64, bytes: u64, what: &'static str) {
        self.damage.push(TableDamage {
            offset,
            bytes,
            what,
            holds_entries: false,
            from_key: None,
            to_key: None,
        });
    }
}

/// Walks a block and compares it with its hash index and the key before it.
fn check_entries(
    view: BlockView<'_>,
    last_key: Option<&[u8]>,
    database_id: DatabaseId,
) -> Result<(), Defect> {
    let mut position = BlockCursor::default();
    let mut previous = last_key.map(<[u8]>::to_vec);
    position.seek_to_first(view)?;
    for &tag in view.tags() {
        let key = position.key();
        if previous.as_deref().is_some_and(|previous| key <= previous) {
            return Err(Defect::Damaged("the keys of the block are out of order"));
        }
        if tag != KeyHash::of(database_id, key).tag() {
            return Err(Defect::Damaged("the hash index of the block contradicts its keys"));
        }
        let previous = previous.get_or_insert_default();
        previous.clear();
        previous.extend_from_slice(key);
        position.next(view)?;
    }
    Ok(())
}

fn describe(defect: Defect) -> &'static str {
    match defect {
        Defect::Damaged(what) => what,
        Defect::Unknown(..) => "the block is of a later version",
    }
}

impl fmt::Debug for TableSalvage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TableSalvage")
            .field("entries", &self.entries)
            .field("damage", &self.damage)
            .finish_non_exhaustive()
    }
}
