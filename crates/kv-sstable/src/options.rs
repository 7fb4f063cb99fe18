//! How a table is written.

use kv_core::{Error, Result};

/// Largest [`TableOptions::block_bytes`]: entries start below it, so that
/// their offsets in a block fit 16 bits.
pub(crate) const MAX_BLOCK_BYTES: usize = 1 << 16;

/// Largest [`TableOptions::restart_interval`]: it is stored in one byte.
pub(crate) const MAX_RESTART_INTERVAL: usize = 255;

/// Largest [`TableOptions::filter_bits_per_key`]: seven probes gain nothing
/// from more.
pub(crate) const MAX_FILTER_BITS_PER_KEY: u8 = 32;

/// How the data blocks of a table are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// As they are: they can be read in place from a map.
    #[default]
    None,
    /// LZ4 for each block where it saves at least an eighth.
    Lz4,
}

/// How a table is written. A reader needs none of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableOptions {
    /// Target size of a data block in bytes before compression, 1 to 65,536.
    /// An entry that is larger gets a block of its own.
    pub block_bytes: usize,
    /// Entries that share the prefix of one fully stored key, 1 to 255.
    pub restart_interval: usize,
    /// How data blocks are stored.
    pub compression: Compression,
    /// Size of the filter in bits per key, up to 32; 0 writes none. Ten bits
    /// give about 1 % false positives, sixteen about 0.2 %.
    pub filter_bits_per_key: u8,
    /// The most bytes that are appended between two syncs of the file, so that
    /// no burst of dirty pages delays the syncs of the log.
    pub sync_every_bytes: u64,
}

impl Default for TableOptions {
    fn default() -> TableOptions {
        TableOptions {
            block_bytes: 4096,
            restart_interval: 16,
            compression: Compression::None,
            filter_bits_per_key: 10,
            sync_every_bytes: 1 << 20,
        }
    }
}

impl TableOptions {
    /// Fails with `InvalidArgument` if an option is outside its range.
    pub fn validate(&self) -> Result<()> {
        let complain = |what: String| Err(Error::InvalidArgument(what));
        if !(1..=MAX_BLOCK_BYTES).contains(&self.block_bytes) {
            return complain(format!(
                "block_bytes is {}, set it to 1 to {MAX_BLOCK_BYTES}",
                self.block_bytes
            ));
        }
        if !(1..=MAX_RESTART_INTERVAL).contains(&self.restart_interval) {
            return complain(format!(
                "restart_interval is {}, set it to 1 to {MAX_RESTART_INTERVAL}",
                self.restart_interval
            ));
        }
        if self.filter_bits_per_key > MAX_FILTER_BITS_PER_KEY {
            return complain(format!(
                "filter_bits_per_key is {}, set it to 0 to {MAX_FILTER_BITS_PER_KEY}",
                self.filter_bits_per_key
            ));
        }
        if self.sync_every_bytes == 0 {
            return complain("sync_every_bytes is 0, set it to 1 or more".into());
        }
        Ok(())
    }
}
