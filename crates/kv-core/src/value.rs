//! A value that is either owned or a slice of something kept alive for it.

use std::fmt;
use std::ops::Deref;
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
    Owned(Arc<[u8]>),
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
        Value { repr: Repr::Owned(Arc::from(bytes)) }
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
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.repr {
            Repr::Empty => &[],
            Repr::Owned(bytes) => bytes,
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
