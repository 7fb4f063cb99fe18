//! What becomes of an entry that is rewritten.

use kv_core::Kind;

/// Tells which values have outlived their purpose.
///
/// Asked once for the newest version of each key, from a background thread.
/// The answer may change from no to yes as time goes by, never back. A reader
/// has to check by itself: an expired value stays until it is rewritten.
pub trait RetentionRule: Send + Sync {
    /// True if readers no longer see `value` under `key`.
    fn is_expired(&self, key: &[u8], value: &[u8]) -> bool;
}

/// What a rewrite does with the newest version of a key that it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Written as it is.
    Keep,
    /// Written as a delete: it has expired, but older versions further down
    /// must stay hidden.
    KeepAsDelete,
    /// Not written: nothing further down has to be hidden.
    Drop,
}

/// Decides about the newest version of a key. `may_be_below` says whether an
/// older version may lie deeper than where the entry is written to.
pub fn fate(kind: Kind, is_expired: bool, may_be_below: bool) -> Fate {
    match (kind, is_expired, may_be_below) {
        (Kind::Put, false, _) => Fate::Keep,
        (Kind::Put, true, true) => Fate::KeepAsDelete,
        (Kind::Delete, _, true) => Fate::Keep,
        (Kind::Put, true, false) | (Kind::Delete, _, false) => Fate::Drop,
    }
}
