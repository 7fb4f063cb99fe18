//! A value that is either owned or a slice of something kept alive for it.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Bytes that stay where they are for as long as their owner lives: a mapped
/// table, a decoded block, an arena chunk.
pub trait Pinned: Send + Sync {
    /// The whole of the pinned bytes; the same slice at every call.
    fn bytes(&self) -> &[u8];
}

impl Pinned for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// A value as a reader gets it. Dereferences to `[u8]`.
///
/// Cloning costs a reference count, never a copy. A pinned value keeps its
/// block or table alive: copy it with [`Value::to_vec`](slice::to_vec) to hold
/// it for long.
#[derive(Clone)]
pub struct Value {
    repr: Repr,
}

#[derive(Clone)]
enum Repr {
    Empty,
    Owned { bytes: Arc<[u8]>, start: usize, len: usize },
    Pinned { owner: Arc<dyn Pinned>, start: usize, len: usize },
}

impl Value {
    /// The value of no bytes.
    pub const EMPTY: Value = Value { repr: Repr::Empty };

    /// A value that owns a copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Value {
        if bytes.is_empty() {
            return Value::EMPTY;
        }
        Value { repr: Repr::Owned { bytes: Arc::from(bytes), start: 0, len: bytes.len() } }
    }

    /// The slice `start..start + len` of `owner`, without a copy.
    ///
    /// # Panics
    /// If the range is outside the owner's bytes: the caller has decoded and
    /// checked it already.
    pub fn pinned(owner: Arc<dyn Pinned>, start: usize, len: usize) -> Value {
        assert!(
            start.checked_add(len).is_some_and(|end| end <= owner.bytes().len()),
            "a pinned value lies inside its owner"
        );
        Value { repr: Repr::Pinned { owner, start, len } }
    }

    /// The bytes of `range`, without a copy.
    ///
    /// # Panics
    /// If the range is not inside the value.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Value {
        assert!(
            range.start <= range.end && range.end <= self.len(),
            "a slice lies inside its value"
        );
        let len = range.end - range.start;
        let repr = match &self.repr {
            _ if len == 0 => Repr::Empty,
            Repr::Empty => unreachable!("only the empty range lies inside no bytes"),
            Repr::Owned { bytes, start, .. } => {
                Repr::Owned { bytes: bytes.clone(), start: start + range.start, len }
            }
            Repr::Pinned { owner, start, .. } => {
                Repr::Pinned { owner: owner.clone(), start: start + range.start, len }
            }
        };
        Value { repr }
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.repr {
            Repr::Empty => &[],
            Repr::Owned { bytes, start, len } => &bytes[*start..*start + *len],
            Repr::Pinned { owner, start, len } => &owner.bytes()[*start..*start + *len],
        }
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        if bytes.is_empty() {
            return Value::EMPTY;
        }
        let len = bytes.len();
        Value { repr: Repr::Pinned { owner: Arc::new(bytes), start: 0, len } }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        **self == **other
    }
}

impl Eq for Value {}

impl PartialEq<[u8]> for Value {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl PartialEq<&[u8]> for Value {
    fn eq(&self, other: &&[u8]) -> bool {
        **self == **other
    }
}

impl<const N: usize> PartialEq<[u8; N]> for Value {
    fn eq(&self, other: &[u8; N]) -> bool {
        **self == *other
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for Value {
    fn eq(&self, other: &&[u8; N]) -> bool {
        **self == **other
    }
}

impl PartialEq<Vec<u8>> for Value {
    fn eq(&self, other: &Vec<u8>) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_of_slices_are_the_bytes_of_their_range() {
        for value in [Value::copy_of(b"0123456789"), Value::from(b"0123456789".to_vec())] {
            let middle = value.slice(2..8);
            assert_eq!(middle, b"234567");
            assert_eq!(middle.slice(1..3), b"34");
            assert_eq!(middle.slice(6..6), b"");
            assert_eq!(value.slice(0..10), value);
        }
        assert_eq!(Value::EMPTY.slice(0..0), b"");
    }
}
