//! A closed interval of keys, and unions of such intervals.

use std::fmt;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

/// A range of keys by its start and its end.
pub type KeyBounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// All keys from `smallest` to `largest`, both included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySpan {
    /// First key.
    #[serde(deserialize_with = "kv_core::bounded_bytes")]
    pub smallest: Vec<u8>,
    /// Last key, not before the first.
    #[serde(deserialize_with = "kv_core::bounded_bytes")]
    pub largest: Vec<u8>,
}

impl KeySpan {
    /// The span from `smallest` to `largest`.
    pub fn new(smallest: impl Into<Vec<u8>>, largest: impl Into<Vec<u8>>) -> KeySpan {
        KeySpan { smallest: smallest.into(), largest: largest.into() }
    }

    /// True if `key` lies in the span.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.smallest.as_slice() <= key && key <= self.largest.as_slice()
    }

    /// True if some key lies in both spans.
    pub fn overlaps(&self, other: &KeySpan) -> bool {
        self.touches(&other.smallest, &other.largest)
    }

    /// The span as standard bounds, for [`Version::overlapping`](crate::Version::overlapping).
    pub fn bounds(&self) -> KeyBounds<'_> {
        (Bound::Included(&self.smallest), Bound::Included(&self.largest))
    }

    pub(crate) fn touches(&self, smallest: &[u8], largest: &[u8]) -> bool {
        self.smallest.as_slice() <= largest && smallest <= self.largest.as_slice()
    }

    /// Widens the span until it holds `smallest` and `largest`.
    pub(crate) fn cover(&mut self, smallest: &[u8], largest: &[u8]) {
        if smallest < self.smallest.as_slice() {
            self.smallest = smallest.to_vec();
        }
        if largest > self.largest.as_slice() {
            self.largest = largest.to_vec();
        }
    }
}

impl fmt::Display for KeySpan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "[{}..{}]", self.smallest.escape_ascii(), self.largest.escape_ascii())
    }
}

/// Which keys other tables may hold: what decides whether a delete can go.
///
/// Coarse on purpose: it knows the key ranges of tables, not their keys, so
/// `may_hold` can be true for a key that nobody holds, never the reverse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyCoverage {
    /// Any key may be held elsewhere: no delete may be dropped.
    Everything,
    /// Only keys of these spans, which are sorted and disjoint.
    Spans(Vec<KeySpan>),
}

impl KeyCoverage {
    /// No key is held elsewhere: every delete can be dropped.
    pub const NOTHING: KeyCoverage = KeyCoverage::Spans(Vec::new());

    /// The union of `spans`, given in any order.
    pub fn of(mut spans: Vec<KeySpan>) -> KeyCoverage {
        spans.sort_by(|a, b| a.smallest.cmp(&b.smallest));
        let mut union: Vec<KeySpan> = Vec::with_capacity(spans.len());
        for span in spans {
            match union.last_mut() {
                Some(last) if span.smallest <= last.largest => {
                    if span.largest > last.largest {
                        last.largest = span.largest;
                    }
                }
                _ => union.push(span),
            }
        }
        KeyCoverage::Spans(union)
    }

    /// True unless it is certain that nobody else holds `key`.
    pub fn may_hold(&self, key: &[u8]) -> bool {
        match self {
            KeyCoverage::Everything => true,
            KeyCoverage::Spans(spans) => {
                let index = spans.partition_point(|span| span.largest.as_slice() < key);
                spans.get(index).is_some_and(|span| span.smallest.as_slice() <= key)
            }
        }
    }

    /// True if it is certain that nobody holds any key.
    pub fn is_nothing(&self) -> bool {
        matches!(self, KeyCoverage::Spans(spans) if spans.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_closed_at_both_ends() {
        let span = KeySpan::new("c", "f");
        assert!(span.contains(b"c") && span.contains(b"f") && !span.contains(b"fa"));
        assert!(span.overlaps(&KeySpan::new("f", "z")) && span.overlaps(&KeySpan::new("a", "c")));
        assert!(!span.overlaps(&KeySpan::new("fa", "z")));
    }

    #[test]
    fn coverage_is_the_union_of_its_spans() {
        let coverage = KeyCoverage::of(vec![
            KeySpan::new("m", "p"),
            KeySpan::new("a", "c"),
            KeySpan::new("b", "e"),
            KeySpan::new("o", "o"),
        ]);
        let expected = vec![KeySpan::new("a", "e"), KeySpan::new("m", "p")];
        assert_eq!(coverage, KeyCoverage::Spans(expected));
        for (key, held) in [("a", true), ("d", true), ("ea", false), ("m", true), ("q", false)] {
            assert_eq!(coverage.may_hold(key.as_bytes()), held, "{key}");
        }
        assert!(!KeyCoverage::NOTHING.may_hold(b"a") && KeyCoverage::Everything.may_hold(b"a"));
    }
}
