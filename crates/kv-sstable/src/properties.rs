//! What is known of a table as a whole.

use std::collections::BTreeMap;

use kv_core::SeqNo;
use serde::{Deserialize, Serialize};

/// Version of the properties record.
pub(crate) const PROPERTIES_VERSION: u8 = 1;

/// The properties section: a metadata record of kv-core.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableProperties {
    /// Entries, deletes among them.
    pub entries: u64,
    /// Entries that delete their key.
    pub deletes: u64,
    /// The first key.
    #[serde(deserialize_with = "kv_core::bounded_bytes")]
    pub smallest_key: Vec<u8>,
    /// The last key.
    #[serde(deserialize_with = "kv_core::bounded_bytes")]
    pub largest_key: Vec<u8>,
    /// The lowest sequence number of an entry.
    pub smallest_seqno: SeqNo,
    /// The highest sequence number of an entry.
    pub largest_seqno: SeqNo,
    /// Length of all keys, in bytes.
    pub raw_key_bytes: u64,
    /// Length of all values, in bytes.
    pub raw_value_bytes: u64,
    /// Length of all data blocks before compression, in bytes.
    pub raw_block_bytes: u64,
    /// Data blocks.
    pub blocks: u64,
    /// Data blocks that are stored compressed.
    pub compressed_blocks: u64,
    /// The option the table was written with, in bytes.
    pub block_bytes: u32,
    /// The option the table was written with.
    pub restart_interval: u8,
    /// The option the table was written with.
    pub filter_bits_per_key: u8,
    /// Room for what later versions want to note without a change of format.
    #[serde(deserialize_with = "kv_core::bounded_properties")]
    pub more: BTreeMap<String, Vec<u8>>,
}

/// What a finished table is, for those who keep a list of tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSummary {
    /// Length of the file.
    pub file_bytes: u64,
    /// Entries, deletes among them.
    pub entries: u64,
    /// Entries that delete their key.
    pub deletes: u64,
    /// The first key.
    pub smallest_key: Vec<u8>,
    /// The last key.
    pub largest_key: Vec<u8>,
    /// The lowest sequence number of an entry.
    pub smallest_seqno: SeqNo,
    /// The highest sequence number of an entry.
    pub largest_seqno: SeqNo,
    /// Length of all keys, in bytes.
    pub raw_key_bytes: u64,
    /// Length of all values, in bytes.
    pub raw_value_bytes: u64,
    /// Random bits of the file: another file of the same name has others.
    pub file_uid: [u8; 16],
    /// Checksum of the footer, which stands for every byte of the file.
    pub checksum: u32,
}

impl TableSummary {
    pub(crate) fn new(
        properties: &TableProperties,
        file_bytes: u64,
        file_uid: [u8; 16],
        checksum: u32,
    ) -> TableSummary {
        TableSummary {
            file_bytes,
            entries: properties.entries,
            deletes: properties.deletes,
            smallest_key: properties.smallest_key.clone(),
            largest_key: properties.largest_key.clone(),
            smallest_seqno: properties.smallest_seqno,
            largest_seqno: properties.largest_seqno,
            raw_key_bytes: properties.raw_key_bytes,
            raw_value_bytes: properties.raw_value_bytes,
            file_uid,
            checksum,
        }
    }
}
