//! Many cursors seen as one.

use std::cmp::Ordering;

use crate::cursor::Cursor;
use crate::entry::{Kind, SeqNo};
use crate::error::Result;
use crate::value::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// Merges cursors into one ordered sequence of all their entries.
///
/// A binary heap of source indices in the direction of travel; turning around
/// costs one seek per source. Where two sources hold the same version of a key
/// the one earlier in the list comes first: pass newer sources first.
pub struct MergeCursor<C> {
    sources: Vec<C>,
    /// Indices of the valid sources as a binary heap, the next entry on top.
    heap: Vec<usize>,
    direction: Direction,
}

impl<C: Cursor> MergeCursor<C> {
    /// Merges `sources`, given from the newest to the oldest.
    pub fn new(sources: Vec<C>) -> MergeCursor<C> {
        let heap = Vec::with_capacity(sources.len());
        MergeCursor { sources, heap, direction: Direction::Forward }
    }

    fn compare(&self, left: usize, right: usize) -> Ordering {
        let (a, b) = (&self.sources[left], &self.sources[right]);
        let ascending = a
            .key()
            .cmp(b.key())
            .then_with(|| b.seqno().cmp(&a.seqno()))
            .then_with(|| left.cmp(&right));
        match self.direction {
            Direction::Forward => ascending,
            Direction::Backward => ascending.reverse(),
        }
    }

    fn rebuild(&mut self, direction: Direction) {
        self.direction = direction;
        self.heap.clear();
        self.heap.extend((0..self.sources.len()).filter(|&index| self.sources[index].valid()));
        for at in (0..self.heap.len() / 2).rev() {
            self.sift_down(at);
        }
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let left = 2 * at + 1;
            if left >= self.heap.len() {
                return;
            }
            let right = left + 1;
            let child = if right < self.heap.len()
                && self.compare(self.heap[right], self.heap[left]) == Ordering::Less
            {
                right
            } else {
                left
            };
            if self.compare(self.heap[child], self.heap[at]) != Ordering::Less {
                return;
            }
            self.heap.swap(at, child);
            at = child;
        }
    }

    /// Restores the heap after the source on top has moved.
    fn settle_top(&mut self) {
        if !self.sources[self.heap[0]].valid() {
            let last = self.heap.len() - 1;
            self.heap.swap(0, last);
            self.heap.truncate(last);
        }
        self.sift_down(0);
    }

    fn seek_all(
        &mut self,
        direction: Direction,
        mut seek: impl FnMut(&mut C) -> Result<()>,
    ) -> Result<()> {
        self.heap.clear();
        for source in &mut self.sources {
            seek(source)?;
        }
        self.rebuild(direction);
        Ok(())
    }

    /// Puts every source but the current one right behind (or before) the
    /// current entry, so that the direction of travel can change.
    fn turn(&mut self, direction: Direction) -> Result<()> {
        let current = self.top();
        let key = self.sources[current].key().to_vec();
        let seqno = self.sources[current].seqno();
        self.heap.clear();
        for (index, source) in self.sources.iter_mut().enumerate() {
            if index == current {
                continue;
            }
            source.seek(&key)?;
            // First entry at or behind (key, seqno, current) in merge order.
            while source.valid()
                && source.key() == key.as_slice()
                && (source.seqno() > seqno || (source.seqno() == seqno && index < current))
            {
                source.next()?;
            }
            if direction == Direction::Backward {
                if source.valid() {
                    source.prev()?;
                } else {
                    source.seek_to_last()?;
                }
            }
        }
        self.rebuild(direction);
        Ok(())
    }

    fn top(&self) -> usize {
        *self.heap.first().expect("the cursor is valid")
    }

    fn advance(
        &mut self,
        direction: Direction,
        step: impl FnOnce(&mut C) -> Result<()>,
    ) -> Result<()> {
        if self.direction != direction {
            self.turn(direction)?;
        }
        let top = self.top();
        let moved = step(&mut self.sources[top]);
        if moved.is_err() {
            self.heap.clear();
            return moved;
        }
        self.settle_top();
        Ok(())
    }
}

impl<C: Cursor> Cursor for MergeCursor<C> {
    fn valid(&self) -> bool {
        !self.heap.is_empty()
    }
    fn key(&self) -> &[u8] {
        self.sources[self.top()].key()
    }
    fn seqno(&self) -> SeqNo {
        self.sources[self.top()].seqno()
    }
    fn kind(&self) -> Kind {
        self.sources[self.top()].kind()
    }
    fn value(&self) -> &[u8] {
        self.sources[self.top()].value()
    }
    fn pinned_value(&self) -> Value {
        self.sources[self.top()].pinned_value()
    }
    fn seek_to_first(&mut self) -> Result<()> {
        self.seek_all(Direction::Forward, C::seek_to_first)
    }
    fn seek_to_last(&mut self) -> Result<()> {
        self.seek_all(Direction::Backward, C::seek_to_last)
    }
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.seek_all(Direction::Forward, |source| source.seek(key))
    }
    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        self.seek_all(Direction::Backward, |source| source.seek_before(key))
    }
    fn next(&mut self) -> Result<()> {
        self.advance(Direction::Forward, C::next)
    }
    fn prev(&mut self) -> Result<()> {
        self.advance(Direction::Backward, C::prev)
    }
}
