//! A checksummed, append-only log of opaque records, one file each.
#![forbid(unsafe_code)]

mod frames;
mod layout;
mod reader;
mod record;
mod stamp;
mod synced;
mod tail;
mod writer;

pub use layout::Lsn;
pub use reader::{LogReader, Record, SegmentPosition, Tail, read_header};
pub use record::MAX_PAYLOAD_BYTES;
pub use synced::SyncedPosition;
pub use writer::LogWriter;
