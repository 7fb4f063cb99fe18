//! Ranges of keys.

use std::ops::{Bound, RangeBounds};

/// A range of keys, by any bounds.
///
/// ```
/// use kv_engine::KeyRange;
/// assert!(KeyRange::prefix(b"user:").contains(b"user:7"));
/// assert!(!KeyRange::from_bounds(&b"a"[..]..&b"c"[..]).contains(b"c"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// Where it begins.
    pub start: Bound<Vec<u8>>,
    /// Where it ends.
    pub end: Bound<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> KeyRange {
        KeyRange { start: Bound::Unbounded, end: Bound::Unbounded }
    }

    /// The keys within `bounds`: `a..b`, `a..=b`, `..b`, `a..`, `..`.
    pub fn from_bounds<'a>(bounds: impl RangeBounds<&'a [u8]>) -> KeyRange {
        KeyRange {
            start: bounds.start_bound().map(|key| key.to_vec()),
            end: bounds.end_bound().map(|key| key.to_vec()),
        }
    }

    /// The keys that start with `prefix`.
    pub fn prefix(prefix: &[u8]) -> KeyRange {
        let end = match prefix.iter().rposition(|&byte| byte != 0xff) {
            None => Bound::Unbounded,
            Some(last) => {
                let mut end = prefix[..=last].to_vec();
                end[last] += 1;
                Bound::Excluded(end)
            }
        };
        KeyRange { start: Bound::Included(prefix.to_vec()), end }
    }

    /// True if `key` is inside.
    pub fn contains(&self, key: &[u8]) -> bool {
        !self.is_before(key) && !self.is_behind(key)
    }

    /// True if `key` lies before the start.
    pub(crate) fn is_before(&self, key: &[u8]) -> bool {
        match &self.start {
            Bound::Unbounded => false,
            Bound::Included(start) => key < start.as_slice(),
            Bound::Excluded(start) => key <= start.as_slice(),
        }
    }

    /// True if `key` lies behind the end.
    pub(crate) fn is_behind(&self, key: &[u8]) -> bool {
        match &self.end {
            Bound::Unbounded => false,
            Bound::Included(end) => key > end.as_slice(),
            Bound::Excluded(end) => key >= end.as_slice(),
        }
    }
}
