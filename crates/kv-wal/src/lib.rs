//! A checksummed, append-only log of opaque records, one file each.
#![forbid(unsafe_code)]

mod frames;
mod header;
mod layout;
mod reader;
mod record;
mod stamp;
mod synced;
mod tail;
mod writer;

pub use header::read_header;
pub use layout::Lsn;
pub use reader::{LogReader, Record, SegmentPosition, Tail};
pub use record::MAX_PAYLOAD_BYTES;
pub use synced::SyncedPosition;
pub use writer::LogWriter;
