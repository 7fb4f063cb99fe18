//! Where one output table ends and the next begins.
//!
//! 1. At the size that was asked for.
//! 2. Before that, as soon as the table overlaps too much of the level below
//!    its own: a later plan that takes it down must stay small.
//! 3. Before that, where a table of the level below ends, if three quarters of
//!    the size are reached: neighbours then do not share an overlapped table,
//!    which saves a tenth of the bytes written.

use crate::plan::Grandparent;

/// Decides from the keys as they come.
pub(crate) struct Cutter<'a> {
    grandparents: &'a [Grandparent],
    split_bytes: u64,
    overlap_limit_bytes: u64,
    /// Grandparents that end before the last key seen.
    passed: usize,
    /// Size of those that the current table overlaps, in bytes.
    overlapped_bytes: u64,
}

impl<'a> Cutter<'a> {
    pub(crate) fn new(
        grandparents: &'a [Grandparent],
        split_bytes: u64,
        overlap_limit_bytes: u64,
    ) -> Cutter<'a> {
        Cutter { grandparents, split_bytes, overlap_limit_bytes, passed: 0, overlapped_bytes: 0 }
    }

    /// Notes that a table begins with `key`.
    pub(crate) fn begin(&mut self, key: &[u8]) {
        self.pass(key);
        self.overlapped_bytes = 0;
    }

    /// True if the table, which has `size_bytes`, should end before `key`.
    pub(crate) fn is_cut(&mut self, key: &[u8], size_bytes: u64) -> bool {
        let is_at_bound = self.pass(key);
        size_bytes >= self.split_bytes
            || self.overlapped_bytes > self.overlap_limit_bytes
            || (is_at_bound && size_bytes >= self.split_bytes / 4 * 3)
    }

    /// Passes the grandparents that end before `key`; true if there were any.
    fn pass(&mut self, key: &[u8]) -> bool {
        let before = self.passed;
        while let Some(next) = self.grandparents.get(self.passed) {
            if next.largest_key.as_slice() >= key {
                break;
            }
            self.overlapped_bytes = self.overlapped_bytes.saturating_add(next.file_bytes);
            self.passed += 1;
        }
        self.passed > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first keys of the tables that keys `a` to `z` of `entry_bytes` each
    /// are cut into.
    fn cuts(grandparents: &[(&str, u64)], entry_bytes: u64) -> String {
        let grandparents: Vec<Grandparent> = grandparents
            .iter()
            .map(|&(key, file_bytes)| Grandparent { largest_key: key.into(), file_bytes })
            .collect();
        let mut cutter = Cutter::new(&grandparents, 100, 1000);
        let mut size_bytes = 0;
        let mut starts = String::new();
        for key in b'a'..=b'z' {
            if size_bytes == 0 || cutter.is_cut(&[key], size_bytes) {
                cutter.begin(&[key]);
                starts.push(key as char);
                size_bytes = 0;
            }
            size_bytes += entry_bytes;
        }
        starts
    }

    #[test]
    fn tables_end_at_their_size() {
        assert_eq!(cuts(&[], 10), "aku");
        assert_eq!(cuts(&[], 100), "abcdefghijklmnopqrstuvwxyz");
    }

    #[test]
    fn tables_end_at_a_bound_below_once_they_are_nearly_full() {
        assert_eq!(cuts(&[("c", 1), ("h", 1), ("z", 1)], 10), "ais", "a..h has 80 of 100 bytes");
        assert_eq!(cuts(&[("f", 1), ("z", 1)], 10), "aku", "a..f has only 60");
    }

    #[test]
    fn tables_end_before_they_overlap_too_much() {
        assert_eq!(cuts(&[("a", 600), ("b", 600), ("c", 900), ("z", 1)], 1), "ac");
        assert_eq!(cuts(&[("a", 1001), ("b", 1001), ("c", 1001)], 1), "abcd");
    }

    #[test]
    fn grandparents_before_the_first_key_do_not_count() {
        assert_eq!(cuts(&[("A", 5000), ("B", 5000), ("z", 5000)], 1), "a");
    }
}
