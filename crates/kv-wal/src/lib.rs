//! A checksummed, append-only log of opaque records, one file each, that tells
//! a torn tail from rot.
//!
//! * [`LogWriter`] appends records in groups and says what is durable.
//! * [`LogReader`] reads them back and judges how the log [ends](Tail).
//! * [`SalvageReader`] reads what can be proven of a damaged log.
//! * [`LogScrub`] reads a durable log again, slowly, to find what has changed.
//!
//! ```
//! use kv_core::{DatabaseId, FileHeader, FileKind};
//! use kv_env::SimDisk;
//! use kv_wal::{LogReader, LogWriter, SegmentPosition, Tail};
//!
//! let disk = SimDisk::new(1);
//! let header = FileHeader {
//!     kind: FileKind::Wal,
//!     database_id: DatabaseId([1; 16]),
//!     file_id: 1,
//!     file_uid: disk.env().entropy.random_id(),
//! };
//! let mut log = LogWriter::create(&*disk.fs(), "wal.log", header, 64 << 10)?;
//! disk.fs().sync_dir()?;
//! log.append(b"first")?;
//! log.append(b"second")?;
//! log.sync()?;
//! log.append(b"third")?;
//! log.flush()?;
//!
//! // A power cut takes away at most what was not synced.
//! for (_, disk) in disk.images(disk.op_count()) {
//!     let position = SegmentPosition::Last;
//!     let mut log = LogReader::open(&*disk.fs(), "wal.log", FileKind::Wal, position)?;
//!     let mut records = Vec::new();
//!     while let Some(record) = log.next_record()? {
//!         records.push(record.payload.to_vec());
//!     }
//!     assert!(records.len() >= 2 && records[1] == b"second");
//!     assert!(matches!(log.tail(), Some(Tail::Clean | Tail::Torn { .. })));
//! }
//! # Ok::<(), kv_core::Error>(())
//! ```
//!
//! # What it is not
//! It does not know what is in a record, which file comes after which, or when
//! to sync. It has no threads and no locks. It never changes a file that it
//! reads: cutting a torn tail is left to the caller.
//!
//! # Format
//! All numbers are little endian. A file is a header of 4096 bytes and frames
//! of 4096 bytes; a frame is a stamp and 4080 bytes of the record stream. An
//! [`Lsn`] is an offset in that stream.
//!
//! ```text
//! header     0  80  file header of kv-core, of kind `Wal` or `Manifest`
//!           80   8  prewritten bytes: up to here the file was durably zero
//!                   before its first record
//!           88   4  0
//!           92   4  checksum(offset 80, bytes 80..92)
//!           96      zeros
//!
//! stamp      0   4  checksum(file offset of the frame, bytes 4..16)
//!            4   4  continuation: bytes of the stream from the frame's start
//!                   to the start of the next record
//!            8   8  synced: the stream was known durable up to this lsn
//!
//! record     0   4  checksum(lsn of the record, bytes 4..20)
//!            4   4  payload length
//!            8   4  unsynced: lsn of the record less the lsn up to which the
//!                   stream was known durable; 0xFFFF_FFFF claims nothing
//!           12   1  type: 1 data, 2 end mark, others reserved
//!           13   1  flags, 0
//!           14   2  0
//!           16   4  checksum(lsn of the record, payload)
//!           20      payload
//!
//! checksum(n, bytes) = CRC-32C of the 40 bytes database id, file id, file uid,
//!                      then of n as u64, then of the bytes
//! ```
//!
//! Records follow one another without gaps and run on over frames. Behind the
//! last record the file ends or holds zeros.
//!
//! # Invariants
//! * What a reader returns is what was appended, in order, without holes.
//! * A record that was synced is returned or reported as damaged. What stays
//!   undecidable, rot that looks exactly like a torn write in the records that
//!   were synced last, is counted in `tests/it/flips.rs`.
//! * No power cut makes a reader fail.
//! * No bytes make a reader panic, or allocate more than the file is long.
#![forbid(unsafe_code)]

mod frames;
mod header;
mod layout;
mod reader;
mod record;
mod salvage;
mod scrub;
mod stamp;
mod synced;
mod tail;
mod writer;

pub use header::read_header;
pub use layout::Lsn;
pub use reader::{LogReader, Record, SegmentPosition, Tail};
pub use record::MAX_PAYLOAD_BYTES;
pub use salvage::{LogGap, SalvageReader, Salvaged};
pub use scrub::{LogScrub, LogScrubProgress};
pub use synced::SyncedPosition;
pub use writer::LogWriter;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
