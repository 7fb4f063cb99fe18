//! What a decoder of table bytes finds wrong, before it is known where.

use kv_core::Error;

/// A violation of the format inside one structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// No writer of this format produces these bytes.
    Damaged(&'static str),
    /// Intact, but of a later version: what is unknown, and its number.
    Unknown(&'static str, u64),
}

impl Defect {
    /// The error for a structure that starts at `offset` of `file`.
    #[cold]
    pub(crate) fn at(self, file: &str, offset: u64) -> Error {
        match self {
            Defect::Damaged(what) => Error::corruption(file, offset, what),
            Defect::Unknown(what, number) => Error::Unsupported {
                file: file.into(),
                what: format!("{what} {number} is unknown"),
            },
        }
    }
}
