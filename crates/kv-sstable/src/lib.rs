//! Immutable sorted table files of the kv engine: builder, reader, filter and
//! block cache.
#![forbid(unsafe_code)]

mod block;
mod builder;
mod cache;
mod compression;
mod cursor;
mod defect;
mod file;
mod filter;
mod footer;
mod index;
mod key_hash;
mod options;
mod output;
mod prefix;
mod properties;
mod readahead;
mod table;
mod verify;

pub use builder::TableBuilder;
pub use cache::BlockCache;
pub use cursor::{CursorPurpose, TableCursor};
pub use key_hash::KeyHash;
pub use options::{Compression, TableOptions};
pub use properties::{TableProperties, TableSummary};
pub use table::{ExpectedTable, ReadMode, Table};
pub use verify::VerifyReport;
