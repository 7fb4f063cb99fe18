//! Reads the file of an open table from the device again and compares it with
//! its checksums, a slice at a time.
//!
//! Every byte of a table is in one part with a checksum: header, blocks,
//! filter, index, properties, footer. What they must be is in memory since the
//! table was opened, so that damage of one part hides no other. Nothing is
//! decoded: a scrub looks for bytes that have changed since they were written,
//! not for what a writer has done wrong, see [`Table::verify`].

use std::sync::Arc;

use kv_core::{ChecksumSeed, Error, FILE_HEADER_BYTES, Result};
use kv_env::{Fs, ReadFile};

use crate::footer::{FOOTER_BYTES, Section};
use crate::table::Table;

/// The longest single read, in bytes. Larger parts, blocks of huge values say,
/// are read in pieces: the memory of a scrub is this much and no more.
const PIECE_BYTES: usize = 64 << 10;

/// A part of a table whose bytes are not what was written, or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedPart {
    /// Where it starts in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// What is wrong with it.
    pub what: String,
}

/// How far a step of a [`TableScrub`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubProgress {
    /// Bytes that were read, or that reading was tried of.
    pub bytes: u64,
    /// True if the end of the table was reached.
    pub is_at_end: bool,
}

/// A place in the file of a table that is being scrubbed.
///
/// It keeps the file open, but not the table: one that is dropped meanwhile
/// needs no more steps. Memory: 64 KiB.
pub struct TableScrub {
    file: Arc<dyn ReadFile>,
    /// The part in progress by number, how much of it was read, and the
    /// checksum of that.
    part: usize,
    part_read: u64,
    checksum: u32,
    piece: Vec<u8>,
}

impl TableScrub {
    /// Opens the file of `table` once more and drops its clean pages, so that
    /// reads ask the device. Pages that a map of the table has touched stay in
    /// memory: what is read all the time is not seen here as the device has it.
    ///
    /// # Errors
    /// `Io`.
    pub fn open(fs: &dyn Fs, table: &Table) -> Result<TableScrub> {
        // Never mapped: an error of the device stays an error.
        let file = fs.open(&table.file.name)?;
        file.drop_cache()?;
        Ok(TableScrub { file, part: 0, part_read: 0, checksum: 0, piece: Vec::new() })
    }

    /// Reads `most_bytes` more, fewer only at the end, and adds what is wrong
    /// to `damage`. `table` is the one that this was opened for. Not to be
    /// called again after the end.
    pub fn step(
        &mut self,
        table: &Table,
        most_bytes: u64,
        damage: &mut Vec<DamagedPart>,
    ) -> ScrubProgress {
        let mut bytes = 0;
        while bytes < most_bytes.max(1) {
            let Some(part) = Part::of(table, self.part) else {
                damage.extend(self.surplus(table));
                return ScrubProgress { bytes, is_at_end: true };
            };
            if self.part_read == 0 {
                self.checksum = table.file.seed.checksum(part.offset, &[]);
            }
            let wanted = (part.len - self.part_read).min(most_bytes.max(1) - bytes);
            let len = wanted.min(PIECE_BYTES as u64) as usize;
            self.piece.resize(len, 0);
            bytes += len as u64;
            let outcome = self.file.read_exact_at(part.offset + self.part_read, &mut self.piece);
            if outcome.as_ref().is_err_and(Error::is_out_of_resources) {
                // Says nothing of the file: the next step reads it again.
                return ScrubProgress { bytes, is_at_end: false };
            }
            self.part_read += len as u64;
            let what = match &outcome {
                Ok(true) => {
                    self.checksum = ChecksumSeed::extend(self.checksum, &self.piece);
                    if self.part_read < part.len {
                        continue;
                    }
                    (self.checksum != part.checksum)
                        .then(|| format!("{} fails its checksum", part.name))
                }
                Ok(false) => Some(format!("the file ends before the end of {}", part.name)),
                Err(error) => Some(format!("{} cannot be read: {error}", part.name)),
            };
            if let Some(what) = what {
                damage.push(DamagedPart { offset: part.offset, bytes: part.len, what });
            }
            self.part += 1;
            self.part_read = 0;
            if matches!(outcome, Ok(false)) {
                // All that would follow is missing for the same reason.
                return ScrubProgress { bytes, is_at_end: true };
            }
        }
        ScrubProgress { bytes, is_at_end: false }
    }

    /// What stands behind the footer, where nothing should.
    fn surplus(&self, table: &Table) -> Option<DamagedPart> {
        let offset = table.summary().file_bytes;
        let bytes = self.file.len().checked_sub(offset).filter(|&bytes| bytes > 0)?;
        Some(DamagedPart { offset, bytes, what: "the file goes on behind its footer".into() })
    }
}

/// Bytes with a checksum.
struct Part {
    name: &'static str,
    offset: u64,
    len: u64,
    /// Of all its bytes, the checksum that is stored among them included.
    checksum: u32,
}

impl Part {
    /// The parts of `table` in the order of the file, without gaps.
    fn of(table: &Table, number: usize) -> Option<Part> {
        let Some(behind_header) = number.checked_sub(1) else {
            return Some(Part::header(table));
        };
        let index = &table.file.index;
        let Some(behind_blocks) = behind_header.checked_sub(index.block_count()) else {
            return Some(Part::block(table, behind_header));
        };
        let footer = &table.footer;
        let (name, section) = match behind_blocks {
            0 => ("the filter", footer.filter),
            1 => ("the index", footer.index),
            2 => ("the properties section", footer.properties),
            3 => return Some(Part::footer(table)),
            _ => return None,
        };
        let Section { offset, len, checksum } = section;
        Some(Part { name, offset, len: len.into(), checksum })
    }

    fn header(table: &Table) -> Part {
        let checksum = table.file.seed.checksum(0, &table.header().encode());
        Part { name: "the file header", offset: 0, len: FILE_HEADER_BYTES as u64, checksum }
    }

    fn block(table: &Table, number: usize) -> Part {
        let handle = table.file.index.handle(number);
        // The block ends in the checksum of all that is before it.
        let checksum = ChecksumSeed::extend(handle.checksum, &handle.checksum.to_le_bytes());
        let len = handle.end() - handle.offset;
        Part { name: "the block", offset: handle.offset, len, checksum }
    }

    fn footer(table: &Table) -> Part {
        let offset = table.footer.properties.end();
        let (bytes, _) = table.footer.encode(table.file.seed);
        let checksum = table.file.seed.checksum(offset, &bytes);
        Part { name: "the footer", offset, len: FOOTER_BYTES as u64, checksum }
    }
}
