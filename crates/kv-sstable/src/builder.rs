//! Writes a table.
//!
//! 1. Entries gather in a block until the next would make it too large.
//! 2. The block is compressed if that pays, gets its trailer and goes to the
//!    file; the index notes its place, the filter the hashes of its keys.
//! 3. At the end follow filter, index, properties and footer, and the file is
//!    synced and sealed. Its directory entry is durable once the caller has
//!    synced the directory.
//!
//! A table that fails half-way has no footer and can never be opened.

use kv_core::{
    ChecksumSeed, Error, FileHeader, FileKind, Kind, Result, SeqNo, check_key, check_value,
    encode_metadata,
};
use kv_env::Fs;

use crate::block::BlockBuilder;
use crate::compression::{self, BLOCK_TRAILER_BYTES, MAX_COMPRESSED_BLOCK_BYTES};
use crate::filter::Filter;
use crate::footer::{Footer, Section};
use crate::index::IndexBuilder;
use crate::key_hash::KeyHash;
use crate::options::{Compression, TableOptions};
use crate::output::{OUTPUT_CHUNK_BYTES, Output};
use crate::prefix::common_prefix_len;
use crate::properties::{PROPERTIES_VERSION, TableProperties, TableSummary};

/// Writes one table, entry by entry in the order of keys.
///
/// Its memory: one block, one chunk of output, the index (about a hundredth of
/// the file) and eight bytes a key for the filter.
///
/// After an error the file is of no use: [`abandon`](TableBuilder::abandon)
/// the builder, or remove the file by its name.
pub struct TableBuilder {
    name: String,
    header: FileHeader,
    seed: ChecksumSeed,
    options: TableOptions,
    output: Output,
    block: BlockBuilder,
    compressed: Vec<u8>,
    /// The separator of the block that is being filled.
    separator: Vec<u8>,
    index: IndexBuilder,
    hashes: Vec<KeyHash>,
    last_key: Vec<u8>,
    properties: TableProperties,
}

impl TableBuilder {
    /// Creates the file `name`, which must not exist.
    ///
    /// # Errors
    /// `InvalidArgument` for options out of range or a header that is not of a
    /// table.
    pub fn create(
        fs: &dyn Fs,
        name: &str,
        header: FileHeader,
        options: TableOptions,
    ) -> Result<TableBuilder> {
        options.validate()?;
        if header.kind != FileKind::Table {
            return Err(Error::InvalidArgument("the header is not that of a table".into()));
        }
        let mut output = Output::new(fs.create(name)?, options.sync_every_bytes);
        output.append(&header.encode())?;
        let properties = TableProperties {
            smallest_seqno: SeqNo(u64::MAX),
            block_bytes: options.block_bytes as u32,
            restart_interval: options.restart_interval as u8,
            filter_bits_per_key: options.filter_bits_per_key,
            ..TableProperties::default()
        };
        Ok(TableBuilder {
            name: name.into(),
            header,
            seed: header.seed(),
            block: BlockBuilder::new(options.restart_interval),
            options,
            output,
            compressed: Vec::new(),
            separator: Vec::new(),
            index: IndexBuilder::default(),
            hashes: Vec::new(),
            last_key: Vec::new(),
            properties,
        })
    }

    /// Appends an entry; its key must be above all before.
    ///
    /// # Errors
    /// `InvalidArgument` for a key out of order or a delete with a value,
    /// `TooLarge` for a key or value over its limit; nothing was added.
    pub fn add(&mut self, key: &[u8], seqno: SeqNo, kind: Kind, value: &[u8]) -> Result<()> {
        self.check_entry(key, kind, value)?;
        let streams = self.is_streamed(value);
        let size = self.block.size_bytes()
            + BlockBuilder::entry_size_bound(key, value.len())
            + BLOCK_TRAILER_BYTES;
        if !self.block.is_empty() && size > self.options.block_bytes {
            self.finish_block()?;
        }
        if self.block.is_empty() {
            self.start_block(key);
        }
        let hash = KeyHash::of(self.header.database_id, key);
        if streams {
            self.block.add_without_value(key, hash, seqno, kind, value.len());
            self.finish_block_around(value)?;
        } else {
            self.block.add(key, hash, seqno, kind, value);
        }
        self.note_entry(key, hash, seqno, kind, value);
        Ok(())
    }

    /// Length of the file if it were finished now, within a few per cent.
    pub fn size_bytes_estimate(&self) -> u64 {
        let filter_bits = self.hashes.len() * usize::from(self.options.filter_bits_per_key);
        let rest = self.block.size_bytes() + filter_bits / 8 + self.index.size_bytes();
        self.output.offset() + rest as u64
    }

    /// Entries added so far.
    pub fn entries(&self) -> u64 {
        self.properties.entries
    }

    /// Writes the rest, syncs and seals the file.
    ///
    /// # Errors
    /// `InvalidArgument` for a table without entries. After any error the
    /// caller removes the file.
    pub fn finish(mut self) -> Result<TableSummary> {
        self.output.check()?;
        if self.properties.entries == 0 {
            return Err(Error::InvalidArgument(format!(
                "table {} has no entries, abandon it instead",
                self.name
            )));
        }
        if !self.block.is_empty() {
            self.finish_block()?;
        }
        let filter = self.encode_filter();
        let filter = self.append_section(&filter)?;
        let index = self.index.encode();
        let index = self.append_section(&index)?;
        let properties =
            encode_metadata(PROPERTIES_VERSION, &self.properties, self.seed, self.output.offset())?;
        let properties = self.append_section(&properties)?;
        let (footer, checksum) = Footer { filter, index, properties }.encode(self.seed);
        self.output.append(&footer)?;
        let file_bytes = self.output.offset();
        self.output.seal()?;
        Ok(TableSummary::new(&self.properties, file_bytes, self.header.file_uid, checksum))
    }

    /// Gives up and removes the file.
    pub fn abandon(self, fs: &dyn Fs) -> Result<()> {
        drop(self.output);
        fs.remove(&self.name)
    }

    fn check_entry(&self, key: &[u8], kind: Kind, value: &[u8]) -> Result<()> {
        check_key(key)?;
        check_value(value)?;
        if self.properties.entries > 0 && key <= self.last_key.as_slice() {
            return Err(Error::InvalidArgument(format!(
                "key \"{}\" does not follow \"{}\" in table {}, add keys in rising order",
                key.escape_ascii(),
                self.last_key.escape_ascii(),
                self.name
            )));
        }
        if kind == Kind::Delete && !value.is_empty() {
            return Err(Error::InvalidArgument("a delete has no value".into()));
        }
        Ok(())
    }

    /// True for a value that goes to the file without a copy in between. It is
    /// larger than any block with several entries.
    fn is_streamed(&self, value: &[u8]) -> bool {
        let smallest = match self.options.compression {
            Compression::None => OUTPUT_CHUNK_BYTES,
            Compression::Lz4 => MAX_COMPRESSED_BLOCK_BYTES,
        };
        value.len() >= smallest
    }

    fn start_block(&mut self, first_key: &[u8]) {
        let separator_len = match self.properties.entries {
            0 => first_key.len(),
            _ => common_prefix_len(&self.last_key, first_key) + 1,
        };
        self.separator.clear();
        self.separator.extend_from_slice(&first_key[..separator_len]);
    }

    fn finish_block(&mut self) -> Result<()> {
        let block = self.block.finish();
        let raw_len = block.len();
        let stored = compression::store(block, self.options.compression, &mut self.compressed);
        let offset = self.output.offset();
        let (trailer, checksum) =
            compression::trailer(self.seed, offset, &[stored.payload], stored.compression);
        let stored_len = stored.payload.len();
        self.output.append(stored.payload)?;
        self.output.append(&trailer)?;
        self.note_block(raw_len, stored_len, checksum)
    }

    fn finish_block_around(&mut self, value: &[u8]) -> Result<()> {
        let (before, behind) = self.block.finish_around_value();
        let raw_len = before.len() + value.len() + behind.len();
        let offset = self.output.offset();
        let (trailer, checksum) = compression::trailer(
            self.seed,
            offset,
            &[before, value, behind],
            compression::STORED_PLAIN,
        );
        for part in [before, value, behind, &trailer] {
            self.output.append(part)?;
        }
        self.note_block(raw_len, raw_len, checksum)
    }

    fn note_block(&mut self, raw_len: usize, stored_len: usize, checksum: u32) -> Result<()> {
        self.block.clear();
        self.properties.blocks += 1;
        self.properties.raw_block_bytes += raw_len as u64;
        self.properties.compressed_blocks += u64::from(stored_len != raw_len);
        // Limits of keys and values keep a block far below 4 GiB.
        let is_noted = self.index.add(&self.separator, stored_len as u32, checksum);
        if !is_noted {
            return Err(Error::InvalidArgument(format!(
                "the index of table {} is over 4 GiB, split the table",
                self.name
            )));
        }
        Ok(())
    }

    fn note_entry(&mut self, key: &[u8], hash: KeyHash, seqno: SeqNo, kind: Kind, value: &[u8]) {
        if self.options.filter_bits_per_key > 0 {
            self.hashes.push(hash);
        }
        let properties = &mut self.properties;
        if properties.entries == 0 {
            properties.smallest_key = key.to_vec();
        }
        properties.entries += 1;
        properties.deletes += u64::from(kind == Kind::Delete);
        properties.smallest_seqno = properties.smallest_seqno.min(seqno);
        properties.largest_seqno = properties.largest_seqno.max(seqno);
        properties.raw_key_bytes += key.len() as u64;
        properties.raw_value_bytes += value.len() as u64;
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
    }

    fn encode_filter(&mut self) -> Vec<u8> {
        self.properties.largest_key = self.last_key.clone();
        if self.options.filter_bits_per_key == 0 {
            return Vec::new();
        }
        let seed = u64::from_le_bytes(
            *self.header.file_uid.first_chunk().expect("a uid has sixteen bytes"),
        );
        Filter::of_keys(&self.hashes, self.options.filter_bits_per_key, seed).encode()
    }

    fn append_section(&mut self, bytes: &[u8]) -> Result<Section> {
        let offset = self.output.offset();
        let len = u32::try_from(bytes.len()).map_err(|_| {
            Error::InvalidArgument(format!(
                "a section of table {} is over 4 GiB, split the table",
                self.name
            ))
        })?;
        self.output.append(bytes)?;
        Ok(Section { offset, len, checksum: self.seed.checksum(offset, bytes) })
    }
}
