//! An append-only table of things that never move.
//!
//! Segments double in size, so that an index is found with one shift and two
//! loads and nothing is copied when the table grows.

use std::sync::OnceLock;

/// log2 of the items in the first segment.
const FIRST_SEGMENT_BITS: u32 = 4;
/// Segments that hold every `u32` index.
const SEGMENTS: usize = (u32::BITS - FIRST_SEGMENT_BITS + 1) as usize;

pub(crate) struct Directory<T> {
    segments: [OnceLock<Box<[OnceLock<T>]>>; SEGMENTS],
}

impl<T> Directory<T> {
    pub(crate) fn new() -> Directory<T> {
        Directory { segments: [const { OnceLock::new() }; SEGMENTS] }
    }

    /// The item at `index`.
    ///
    /// # Panics
    /// If it was not set: an index is given to readers after its item is.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> &T {
        let (segment, offset, _) = locate(index);
        let items = self.segments[segment].get();
        items.and_then(|items| items[offset].get()).expect("the index was given out")
    }

    /// Sets the item at `index`, once.
    pub(crate) fn set(&self, index: u32, item: T) {
        let (segment, offset, len) = locate(index);
        let items =
            self.segments[segment].get_or_init(|| (0..len).map(|_| OnceLock::new()).collect());
        assert!(items[offset].set(item).is_ok(), "an index is used once");
    }
}

/// Segment of `index`, offset in it, and the segment's length.
#[inline]
fn locate(index: u32) -> (usize, usize, usize) {
    let shifted = u64::from(index) + (1 << FIRST_SEGMENT_BITS);
    let bits = shifted.ilog2();
    let len = 1u64 << bits;
    ((bits - FIRST_SEGMENT_BITS) as usize, (shifted - len) as usize, len as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_fill_the_segments_without_gaps() {
        let mut expected = (0, 0);
        for index in 0..5000 {
            let (segment, offset, len) = locate(index);
            assert_eq!((segment, offset), expected);
            expected = if offset + 1 == len { (segment + 1, 0) } else { (segment, offset + 1) };
        }
        let (segment, offset, len) = locate(u32::MAX);
        assert_eq!(segment, SEGMENTS - 1);
        assert!(offset < len);
    }

    #[test]
    fn items_stay_where_they_are() {
        let directory = Directory::new();
        directory.set(0, 0u32);
        let first = std::ptr::from_ref(directory.get(0));
        (1..1000).for_each(|index| directory.set(index, index));
        assert!((0..1000).all(|index| *directory.get(index) == index));
        assert_eq!(std::ptr::from_ref(directory.get(0)), first);
    }
}
