//! Where things stand in a log file.
//!
//! ```text
//! file      0  4096  header (see `header.rs`)
//!        4096  4096  frame 0
//!        8192  4096  frame 1, and so on
//!
//! frame     0    16  stamp (see `stamp.rs`)
//!          16  4080  the next bytes of the record stream
//!
//! stream  records (see `record.rs`) one behind the other, without gaps; a
//!         record or even its header may run on into the following frames
//! ```
//!
//! All numbers are little endian. A frame begins with its first byte of the
//! stream: a log that fills its last frame ends there, without another stamp.

use std::fmt;

/// Size of a frame, and of the header before the first. One page: the unit in
/// which the operating system writes back, so a stamp travels with its bytes.
pub(crate) const FRAME_BYTES: u64 = 4096;

/// Size of the stamp at the start of each frame.
pub(crate) const STAMP_BYTES: u64 = 16;

/// Bytes of the record stream in one frame.
pub(crate) const FRAME_DATA_BYTES: u64 = FRAME_BYTES - STAMP_BYTES;

/// Log sequence number: an offset in the record stream of one log file, in
/// bytes. The first record starts at 0; stamps and file header do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Where the first record starts.
    pub const START: Lsn = Lsn(0);

    /// The file offset of the byte at this place of the stream.
    pub fn file_offset(self) -> u64 {
        frame_offset(self.frame()) + STAMP_BYTES + self.offset_in_frame()
    }

    /// The length in bytes of a file whose log ends here. Differs from
    /// [`file_offset`](Lsn::file_offset) at the start of a frame, which begins
    /// only with the next record.
    pub fn file_end(self) -> u64 {
        match self.offset_in_frame() {
            0 => frame_offset(self.frame()),
            used => frame_offset(self.frame()) + STAMP_BYTES + used,
        }
    }

    /// The end of the stream in a file of `file_bytes` bytes.
    pub(crate) fn at_file_end(file_bytes: u64) -> Lsn {
        let framed = file_bytes.saturating_sub(FRAME_BYTES);
        let rest = (framed % FRAME_BYTES).saturating_sub(STAMP_BYTES);
        Lsn(framed / FRAME_BYTES * FRAME_DATA_BYTES + rest)
    }

    /// The number of the frame that holds this byte.
    pub(crate) fn frame(self) -> u64 {
        self.0 / FRAME_DATA_BYTES
    }

    pub(crate) fn offset_in_frame(self) -> u64 {
        self.0 % FRAME_DATA_BYTES
    }

    /// The place `bytes` further on.
    pub(crate) fn plus(self, bytes: usize) -> Lsn {
        Lsn(self.0 + bytes as u64)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The file offset of frame number `frame`, where its stamp stands.
pub(crate) fn frame_offset(frame: u64) -> u64 {
    FRAME_BYTES * (frame + 1)
}
