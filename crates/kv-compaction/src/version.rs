//! The shape of the tree at one moment.

use std::ops::{Bound, Range};
use std::sync::Arc;

use kv_core::Result;

use crate::edit::VersionEdit;
use crate::fences::Fences;
use crate::key_span::{KeyBounds, KeyCoverage, KeySpan};
use crate::table_meta::{TableMeta, TableRef};

/// Number of levels: with a ratio of 10 from 256 MiB on, the five runs before
/// the last may hold 3 TB.
pub const LEVELS: usize = 7;

/// The level that nothing leaves.
pub const LAST_LEVEL: usize = LEVELS - 1;

/// The tables of one level in their order, shared by all versions that have
/// the same ones.
pub type LevelTables<T> = Arc<[Arc<T>]>;

/// An immutable set of tables, sorted into levels.
///
/// * Level 0 holds the output of flushes, newest first. Where two of its tables
///   overlap, all writes of one are newer than all writes of the other.
/// * Each level below is one run: sorted by key and disjoint.
/// * Of two versions of a key the newer is at the smaller level.
///
/// [`apply`](Version::apply) is the only way from one version to the next and
/// keeps the first two; picking and rewriting keep the third.
#[derive(Debug)]
pub struct Version<T> {
    levels: [LevelTables<T>; LEVELS],
    level_bytes: [u64; LEVELS],
    /// Of the runs; those of level 0 are empty.
    fences: [Arc<Fences>; LEVELS],
}

impl<T> Clone for Version<T> {
    /// Shares every level.
    fn clone(&self) -> Self {
        Version {
            levels: self.levels.clone(),
            level_bytes: self.level_bytes,
            fences: self.fences.clone(),
        }
    }
}

impl<T: TableRef> Default for Version<T> {
    fn default() -> Self {
        Version::new()
    }
}

impl<T: TableRef> Version<T> {
    /// A version without tables.
    pub fn new() -> Version<T> {
        Version {
            levels: std::array::from_fn(|_| Arc::from([])),
            level_bytes: [0; LEVELS],
            fences: std::array::from_fn(|_| Arc::default()),
        }
    }

    /// This version with other tables in `level`, which are in order.
    pub(crate) fn replace_level(&mut self, level: usize, tables: Vec<Arc<T>>) {
        self.level_bytes[level] = tables.iter().map(|table| table.meta().file_bytes).sum();
        self.fences[level] =
            if level == 0 { Arc::default() } else { Arc::new(Fences::of(&tables)) };
        self.levels[level] = tables.into();
    }

    /// The same tables seen as something else: opened, or described only.
    ///
    /// # Errors
    /// The first error of `convert`.
    pub fn try_map<U: TableRef>(
        &self,
        mut convert: impl FnMut(&Arc<T>) -> Result<Arc<U>>,
    ) -> Result<Version<U>> {
        let mut version = Version::new();
        for (level, tables) in self.levels.iter().enumerate() {
            version.replace_level(level, tables.iter().map(&mut convert).collect::<Result<_>>()?);
        }
        Ok(version)
    }

    /// All levels, the one with the newest writes first.
    pub fn levels(&self) -> &[LevelTables<T>; LEVELS] {
        &self.levels
    }

    /// Every table with its level, newest level first.
    pub fn tables(&self) -> impl Iterator<Item = (usize, &Arc<T>)> {
        self.levels
            .iter()
            .enumerate()
            .flat_map(|(level, tables)| tables.iter().map(move |table| (level, table)))
    }

    /// Size of the files of `level`, in bytes.
    pub fn level_bytes(&self, level: usize) -> u64 {
        self.level_bytes[level]
    }

    /// Size of all files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.level_bytes.iter().sum()
    }

    /// Number of tables.
    pub fn table_count(&self) -> usize {
        self.levels.iter().map(|tables| tables.len()).sum()
    }

    /// Number of runs in level 0: tables that one flush wrote count once.
    pub fn level0_runs(&self) -> usize {
        count_runs(self.levels[0].iter())
    }

    /// The deepest level that holds a table.
    pub fn deepest_level(&self) -> Option<usize> {
        self.levels.iter().rposition(|tables| !tables.is_empty())
    }

    /// The tables that may hold `key`, in the order a reader must ask them: the
    /// first that has the key has its newest version.
    ///
    /// Costs a comparison per table of level 0 and a binary search per level
    /// below; allocates nothing.
    pub fn candidates<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = &'a Arc<T>> {
        let in_level0 = self.levels[0].iter().filter(move |table| table.meta().contains(key));
        let runs = self.levels.iter().zip(&self.fences).skip(1);
        let in_runs = runs.filter_map(move |(tables, fences)| {
            let table = tables.get(fences.first_reaching(tables, key))?;
            (table.meta().smallest_key.as_slice() <= key).then_some(table)
        });
        in_level0.chain(in_runs)
    }

    /// The tables of `level` that may hold a key in `range`, in their order.
    pub fn overlapping<'a>(
        &'a self,
        level: usize,
        range: KeyBounds<'_>,
    ) -> impl Iterator<Item = &'a Arc<T>> {
        let tables = &self.levels[level];
        let near = if level == 0 { 0..tables.len() } else { slice_of_run(tables, range) };
        tables[near]
            .iter()
            .filter(move |table| !is_before(table.meta(), range) && !is_behind(table.meta(), range))
    }

    /// Which keys of `span` the levels from `first_level` on may hold.
    ///
    /// A flush may drop the deletes that `coverage(0, ..)` does not hold, if
    /// every older memory table has become a table of this version.
    pub fn coverage(&self, first_level: usize, span: &KeySpan) -> KeyCoverage {
        let spans = (first_level..LEVELS)
            .flat_map(|level| self.overlapping(level, span.bounds()))
            .map(|table| table.meta().span());
        KeyCoverage::of(spans.collect())
    }

    /// The edit that makes this version out of the empty one: the tables of the
    /// snapshot that a new manifest begins with.
    pub fn as_edit(&self) -> VersionEdit {
        let added = self.tables().map(|(level, table)| (level as u32, table.meta().clone()));
        VersionEdit { added: added.collect(), ..VersionEdit::default() }
    }

    /// Indices of the tables of a run (a level below 0) that overlap the keys.
    pub(crate) fn run_indices(
        &self,
        level: usize,
        smallest: &[u8],
        largest: &[u8],
    ) -> Range<usize> {
        slice_of_run(&self.levels[level], (Bound::Included(smallest), Bound::Included(largest)))
    }
}

pub(crate) fn count_runs<'a, T: TableRef + 'a>(tables: impl Iterator<Item = &'a Arc<T>>) -> usize {
    let mut runs: Vec<u64> = tables.map(|table| table.meta().run).collect();
    runs.sort_unstable();
    runs.dedup();
    runs.len()
}

fn slice_of_run<T: TableRef>(tables: &[Arc<T>], range: KeyBounds<'_>) -> Range<usize> {
    let first = tables.partition_point(|table| is_before(table.meta(), range));
    let end = first + tables[first..].partition_point(|table| !is_behind(table.meta(), range));
    first..end
}

fn is_before(meta: &TableMeta, range: KeyBounds<'_>) -> bool {
    match range.0 {
        Bound::Unbounded => false,
        Bound::Included(start) => meta.largest_key.as_slice() < start,
        Bound::Excluded(start) => meta.largest_key.as_slice() <= start,
    }
}

fn is_behind(meta: &TableMeta, range: KeyBounds<'_>) -> bool {
    match range.1 {
        Bound::Unbounded => false,
        Bound::Included(end) => meta.smallest_key.as_slice() > end,
        Bound::Excluded(end) => meta.smallest_key.as_slice() >= end,
    }
}
