//! An open table.
//!
//! Opening reads by `read_at`: file header, footer, index, filter, properties,
//! each against its checksum and what the caller expects. Only then is the
//! file mapped. Blocks are checked when they are first read.
//!
//! A table holds its file open, or, where there are many, has it opened when it
//! is read; see `open_files`.

use std::fmt;
use std::sync::Arc;

use kv_core::{
    DatabaseId, Error, FILE_HEADER_BYTES, FileHeader, FileKind, FoundEntry, Pinned, Result, Value,
    decode_metadata,
};
use kv_env::{Fs, ReadFile};

use crate::block::BlockView;
use crate::cache::BlockCache;
use crate::cursor::{CursorPurpose, TableCursor};
use crate::file::TableFile;
use crate::filter::Filter;
use crate::footer::{FOOTER_BYTES, Footer, Section};
use crate::index::Index;
use crate::key_hash::KeyHash;
use crate::open_files::{FileOnDemand, FileSource, OpenFiles};
use crate::properties::{PROPERTIES_VERSION, TableProperties, TableSummary};
use crate::verify::{self, VerifyReport};

/// How the blocks of a table are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadMode {
    /// In place from a map of the file: no copy and no system call for what is
    /// in memory. A device error may end the process, see the crate docs.
    #[default]
    Map,
    /// By `pread` through the block cache: errors of the device stay errors.
    Pread,
}

/// What the manifest says of a table; a file that differs is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedTable {
    /// The database it belongs to.
    pub database_id: DatabaseId,
    /// Its number.
    pub file_id: u64,
    /// Its length.
    pub file_bytes: u64,
}

/// An open table: immutable, shared by any number of readers.
pub struct Table {
    pub(crate) file: TableFile,
    pub(crate) filter: Option<Filter>,
    properties: TableProperties,
    summary: TableSummary,
    header: FileHeader,
    pub(crate) footer: Footer,
}

impl Table {
    /// Opens the table `name` and checks everything but its blocks. Its file
    /// stays open for as long as the table does.
    ///
    /// Where mapping fails, for want of address space say, the table is read
    /// as in [`ReadMode::Pread`]; [`read_mode`](Table::read_mode) tells.
    ///
    /// # Errors
    /// `Corruption` for a file that is not the expected table, byte for byte
    /// in what was read; `Unsupported` for one of a newer version.
    pub fn open(
        fs: &dyn Fs,
        name: &str,
        expected: ExpectedTable,
        mode: ReadMode,
        cache: Arc<BlockCache>,
    ) -> Result<Arc<Table>> {
        Opening { name, file: fs.open(name)? }
            .table(expected, mode, cache, |opened| FileSource::Held(opened.file))
    }

    /// As [`open`](Table::open), for one of many tables: its file is open while
    /// it is among the latest of `files`, and opened again by its name when it
    /// is read then. A mapped table is only read so by background jobs.
    ///
    /// The caller keeps the file under its name until the table is dropped.
    ///
    /// # Errors
    /// As [`open`](Table::open). Reads may fail as opens do, for want of a
    /// descriptor say, and with `Corruption` if the name has come to be that of
    /// another file.
    pub fn open_on_demand(
        files: &Arc<OpenFiles>,
        name: &str,
        expected: ExpectedTable,
        mode: ReadMode,
        cache: Arc<BlockCache>,
    ) -> Result<Arc<Table>> {
        Opening { name, file: files.fs().open(name)? }.table(expected, mode, cache, |opened| {
            let bytes = expected.file_bytes;
            let source = FileOnDemand::new(Arc::clone(files), name, opened.header, bytes);
            if !opened.is_mapped {
                source.keep(opened.file);
            }
            FileSource::OnDemand(source)
        })
    }

    /// The entry of `key`, whose hash in the database of this table is `hash`.
    ///
    /// The filter is asked first. In map mode the value of a plain block is
    /// pinned in the map, else in a cached block.
    pub fn get(self: &Arc<Self>, key: &[u8], hash: KeyHash) -> Result<Option<FoundEntry>> {
        let own_hash = || KeyHash::of(self.header.database_id, key);
        debug_assert_eq!(hash, own_hash(), "the hash belongs to the key and the database");
        if !self.may_contain(hash) {
            return Ok(None);
        }
        let Some(number) = self.file.index.locate(key) else { return Ok(None) };
        if let Some((start, block)) = self.file.mapped_block(number)? {
            let map = self.file.map().expect("a mapped block has a map");
            return self.get_in_block(number, block, key, hash, || (Arc::clone(map), start));
        }
        let cached = self.file.cached_block(number)?;
        self.get_in_block(number, cached.bytes(), key, hash, || (cached.clone(), 0))
    }

    /// False if the table certainly has no key with this hash.
    #[inline]
    pub fn may_contain(&self, hash: KeyHash) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.may_contain(hash))
    }

    /// A cursor over all entries, at none.
    pub fn cursor(self: &Arc<Self>, purpose: CursorPurpose) -> TableCursor {
        TableCursor::new(Arc::clone(self), purpose)
    }

    /// The figures of the table.
    pub fn summary(&self) -> &TableSummary {
        &self.summary
    }

    /// All that the table says of itself, for those who inspect it.
    pub fn properties(&self) -> &TableProperties {
        &self.properties
    }

    /// The identity of the file.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// How blocks are read, which is not what was asked for if mapping failed.
    pub fn read_mode(&self) -> ReadMode {
        match self.file.map() {
            Some(_) => ReadMode::Map,
            None => ReadMode::Pread,
        }
    }

    /// Memory held for as long as the table is open: index and filter.
    pub fn pinned_bytes(&self) -> u64 {
        let filter_bytes = self.filter.as_ref().map_or(0, Filter::size_bytes);
        (self.file.index.size_bytes() + filter_bytes) as u64
    }

    /// Reads every block from the device again and checks it against its
    /// checksum; with `deep` also every entry: order, separators, hash index,
    /// filter and the totals in the properties.
    ///
    /// # Errors
    /// The first damage found.
    pub fn verify(self: &Arc<Self>, deep: bool) -> Result<VerifyReport> {
        verify::verify(self, deep)
    }

    #[inline]
    fn get_in_block(
        &self,
        number: usize,
        block: &[u8],
        key: &[u8],
        hash: KeyHash,
        owner: impl FnOnce() -> (Arc<dyn Pinned>, usize),
    ) -> Result<Option<FoundEntry>> {
        let found = BlockView::decode(block)
            .and_then(|view| view.get(key, hash.tag()))
            .map_err(|defect| self.file.block_error(number, defect))?;
        let Some(entry) = found else { return Ok(None) };
        let value = if entry.value_len() == 0 {
            Value::EMPTY
        } else {
            let (owner, start) = owner();
            Value::pinned(owner, start + entry.value_start, entry.value_len())
        };
        Ok(Some(FoundEntry { seqno: entry.seqno, kind: entry.kind, value }))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Table")
            .field("name", &self.file.name)
            .field("entries", &self.summary.entries)
            .field("file_bytes", &self.summary.file_bytes)
            .finish_non_exhaustive()
    }
}

/// A file on its way to become a table.
struct Opening<'a> {
    name: &'a str,
    file: Arc<dyn ReadFile>,
}

/// The file of a table that passed every check.
struct Opened {
    file: Arc<dyn ReadFile>,
    header: FileHeader,
    is_mapped: bool,
}

impl Opening<'_> {
    fn table(
        self,
        expected: ExpectedTable,
        mode: ReadMode,
        cache: Arc<BlockCache>,
        source: impl FnOnce(Opened) -> FileSource,
    ) -> Result<Arc<Table>> {
        let header = self.header(&expected)?;
        let (footer, checksum) = self.footer(&header, expected.file_bytes)?;
        let index = self.index(&header, &footer)?;
        let filter = self.filter(&header, &footer)?;
        let properties = self.properties(&header, &footer)?;
        if properties.blocks != index.block_count() as u64
            || properties.smallest_key != index.separator(0)
            || properties.largest_key < properties.smallest_key
        {
            let what = "the properties of the table contradict its index";
            return Err(Error::corruption(self.name, footer.properties.offset, what));
        }
        let map = match mode {
            ReadMode::Map => self.map(expected.file_bytes)?,
            ReadMode::Pread => None,
        };
        let summary =
            TableSummary::new(&properties, expected.file_bytes, header.file_uid, checksum);
        let source = source(Opened { file: self.file, header, is_mapped: map.is_some() });
        let file = TableFile::new(self.name.into(), header.seed(), index, source, map, cache);
        Ok(Arc::new(Table { file, filter, properties, summary, header, footer }))
    }

    fn header(&self, expected: &ExpectedTable) -> Result<FileHeader> {
        let len = self.file.len();
        if len != expected.file_bytes {
            let what = format!("the file has {len} bytes, {} expected", expected.file_bytes);
            return Err(Error::corruption(self.name, len.min(expected.file_bytes), what));
        }
        let mut bytes = [0; FILE_HEADER_BYTES];
        let got = self.file.read_at(0, &mut bytes)?;
        let header = FileHeader::decode(FileKind::Table, self.name, &bytes[..got])?;
        if header.database_id != expected.database_id {
            return Err(Error::corruption(self.name, 0, "the file is of another database"));
        }
        if header.file_id != expected.file_id {
            let what =
                format!("the file is number {}, {} expected", header.file_id, expected.file_id);
            return Err(Error::corruption(self.name, 0, what));
        }
        Ok(header)
    }

    fn footer(&self, header: &FileHeader, file_bytes: u64) -> Result<(Footer, u32)> {
        let too_short = || Error::corruption(self.name, 0, "the file is too short for a table");
        let offset = file_bytes.checked_sub(FOOTER_BYTES as u64).ok_or_else(too_short)?;
        let mut bytes = [0; FOOTER_BYTES];
        if !self.file.read_exact_at(offset, &mut bytes)? {
            return Err(too_short());
        }
        Footer::decode(&bytes, offset, header.seed()).map_err(|defect| defect.at(self.name, offset))
    }

    fn index(&self, header: &FileHeader, footer: &Footer) -> Result<Index> {
        let bytes = self.section(header, footer.index)?;
        Index::decode(&bytes, footer.filter.offset)
            .map_err(|defect| defect.at(self.name, footer.index.offset))
    }

    fn filter(&self, header: &FileHeader, footer: &Footer) -> Result<Option<Filter>> {
        let bytes = self.section(header, footer.filter)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        Filter::decode(&bytes)
            .map(Some)
            .map_err(|defect| defect.at(self.name, footer.filter.offset))
    }

    fn properties(&self, header: &FileHeader, footer: &Footer) -> Result<TableProperties> {
        let bytes = self.section(header, footer.properties)?;
        let offset = footer.properties.offset;
        decode_metadata(PROPERTIES_VERSION, &bytes, header.seed(), offset, self.name)
    }

    /// Reads a section. The footer has placed it inside the file, whose length
    /// is what the manifest says: nothing larger than the file is allocated.
    fn section(&self, header: &FileHeader, section: Section) -> Result<Vec<u8>> {
        let mut bytes = vec![0; section.len as usize];
        let is_whole = self.file.read_exact_at(section.offset, &mut bytes)?;
        if !is_whole || header.seed().checksum(section.offset, &bytes) != section.checksum {
            let what = "the section fails its checksum";
            return Err(Error::corruption(self.name, section.offset, what));
        }
        Ok(bytes)
    }

    fn map(&self, file_bytes: u64) -> Result<Option<Arc<dyn Pinned>>> {
        let Ok(map) = self.file.map() else { return Ok(None) };
        if map.bytes().len() as u64 != file_bytes {
            return Err(Error::corruption(self.name, 0, "the file changed while it was opened"));
        }
        Ok(Some(map))
    }
}
