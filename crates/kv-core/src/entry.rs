//! What an entry is made of besides its key: sequence number, kind, value.

use std::fmt;

use crate::value::Value;

/// Position of a write in the one total order of all writes of a database.
///
/// 0 is "older than everything": the bottom level stores it in place of
/// numbers that nobody can ask about any more.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct SeqNo(pub u64);

impl SeqNo {
    /// Older than every write.
    pub const ZERO: SeqNo = SeqNo(0);
    /// The largest number: kinds and numbers share 64 bits in compact forms.
    pub const MAX: SeqNo = SeqNo((1 << 56) - 1);

    /// The number `count` writes later.
    #[must_use]
    pub fn plus(self, count: u64) -> SeqNo {
        SeqNo(self.0 + count)
    }
}

impl fmt::Display for SeqNo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What an entry does to its key. The byte values are part of every format.
///
/// Values 2 to 7 are reserved: range delete, merge, single delete, sized
/// delete, blob pointer, range key. A reader that meets one refuses the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The key has no value from here on.
    Delete = 0,
    /// The key has this value from here on.
    Put = 1,
}

impl Kind {
    /// Decodes a stored kind; `None` for reserved and unknown values.
    pub fn from_byte(byte: u8) -> Option<Kind> {
        match byte {
            0 => Some(Kind::Delete),
            1 => Some(Kind::Put),
            _ => None,
        }
    }
}

/// The keyspace of an entry: its own ordered tree behind the shared log.
///
/// The formats carry the id from the first version on; the engine serves the
/// default keyspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KeyspaceId(pub u32);

impl KeyspaceId {
    /// The keyspace that always exists.
    pub const DEFAULT: KeyspaceId = KeyspaceId(0);
}

/// The newest version of a key as found in one memory table or table.
#[derive(Debug, Clone)]
pub struct FoundEntry {
    /// When it was written.
    pub seqno: SeqNo,
    /// Put or delete.
    pub kind: Kind,
    /// The value; empty for a delete.
    pub value: Value,
}

impl FoundEntry {
    /// The value a reader sees: `None` for a delete.
    pub fn into_value(self) -> Option<Value> {
        match self.kind {
            Kind::Put => Some(self.value),
            Kind::Delete => None,
        }
    }
}
