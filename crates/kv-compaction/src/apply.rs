//! From one version to the next.
//!
//! 1. Take the removed tables out of their levels; each must be there.
//! 2. Bring the added ones: a table that was just taken out moves, any other
//!    is resolved by the caller and must be new.
//! 3. Order the levels that changed and check them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use kv_core::{Error, Result};

use crate::edit::VersionEdit;
use crate::table_meta::{TableMeta, TableRef};
use crate::version::{LEVELS, Version};

impl<T: TableRef> Version<T> {
    /// The version that `edit` makes of this one. `resolve` opens a table that
    /// was not here before; a moved table keeps its handle.
    ///
    /// Levels that the edit does not name are shared, not copied.
    ///
    /// # Errors
    /// `InvalidArgument` for an edit that cannot be meant: it removes a table
    /// that is not there, adds one twice, makes tables of a run overlap, or
    /// leaves open which of two level-0 tables is newer. Any error of
    /// `resolve`. This version is as before.
    pub fn apply(
        &self,
        edit: &VersionEdit,
        mut resolve: impl FnMut(&TableMeta) -> Result<Arc<T>>,
    ) -> Result<Version<T>> {
        let mut levels: [Option<Vec<Arc<T>>>; LEVELS] = std::array::from_fn(|_| None);
        let mut taken = self.take_removed(edit, &mut levels)?;
        self.check_new(edit, &taken)?;
        for (level, meta) in &edit.added {
            meta.check()?;
            let table = match taken.remove(&meta.id) {
                Some(table) if table.meta() == meta => table,
                Some(_) => return impossible(format!("table {} changes as it moves", meta.id)),
                None => resolve(meta)?,
            };
            let level = checked_level(*level)?;
            levels[level].get_or_insert_with(|| self.levels()[level].to_vec()).push(table);
        }
        let mut next = self.clone();
        for (level, changed) in levels.into_iter().enumerate() {
            let Some(tables) = changed else { continue };
            let added = edit.added.iter().filter(|(of, _)| *of as usize == level);
            let ordered = match level {
                0 => in_recency_order(tables, added.map(|(_, meta)| meta))?,
                _ => in_key_order(tables)?,
            };
            next.replace_level(level, ordered);
        }
        Ok(next)
    }

    /// Copies the levels that lose tables and returns those tables by id.
    fn take_removed(
        &self,
        edit: &VersionEdit,
        levels: &mut [Option<Vec<Arc<T>>>; LEVELS],
    ) -> Result<BTreeMap<u64, Arc<T>>> {
        let mut removed: [HashSet<u64>; LEVELS] = std::array::from_fn(|_| HashSet::new());
        for (level, id) in &edit.removed {
            if !removed[checked_level(*level)?].insert(*id) {
                return impossible(format!("table {id} is removed twice"));
            }
        }
        let mut taken = BTreeMap::new();
        for (level, ids) in removed.iter_mut().enumerate().filter(|(_, ids)| !ids.is_empty()) {
            let (gone, kept): (Vec<_>, Vec<_>) = self.levels()[level]
                .iter()
                .cloned()
                .partition(|table| ids.remove(&table.meta().id));
            if let Some(id) = ids.iter().next() {
                return impossible(format!("table {id} is not in level {level}"));
            }
            taken.extend(gone.into_iter().map(|table| (table.meta().id, table)));
            levels[level] = Some(kept);
        }
        Ok(taken)
    }

    /// Checks that no added table is in the tree already or added twice.
    fn check_new(&self, edit: &VersionEdit, taken: &BTreeMap<u64, Arc<T>>) -> Result<()> {
        let mut added = HashSet::new();
        if let Some((_, meta)) = edit.added.iter().find(|(_, meta)| !added.insert(meta.id)) {
            return impossible(format!("table {} is added twice", meta.id));
        }
        added.retain(|id| !taken.contains_key(id));
        if added.is_empty() {
            return Ok(());
        }
        match self.tables().find(|(_, table)| added.contains(&table.meta().id)) {
            Some((level, table)) => {
                impossible(format!("table {} is in level {level} already", table.meta().id))
            }
            None => Ok(()),
        }
    }
}

fn impossible<R>(what: String) -> Result<R> {
    Err(Error::InvalidArgument(format!("the version edit is impossible: {what}")))
}

fn checked_level(level: u32) -> Result<usize> {
    match level as usize {
        level if level < LEVELS => Ok(level),
        level => impossible(format!("there is no level {level}")),
    }
}

/// Level 0: newest first. Tables that do not overlap may share a range of
/// sequence numbers (one flush wrote them); those that do overlap may not.
fn in_recency_order<'a, T: TableRef>(
    mut tables: Vec<Arc<T>>,
    added: impl Iterator<Item = &'a TableMeta>,
) -> Result<Vec<Arc<T>>> {
    for new in added {
        for other in tables.iter().map(|table| table.meta()).filter(|other| other.id != new.id) {
            let ordered = new.smallest_seqno > other.largest_seqno
                || other.smallest_seqno > new.largest_seqno;
            if !ordered && new.overlaps(other) {
                return impossible(format!(
                    "it is open which of the level-0 tables {} and {} is newer",
                    other.id, new.id
                ));
            }
        }
    }
    tables.sort_by(|a, b| {
        let (a, b) = (a.meta(), b.meta());
        b.largest_seqno.cmp(&a.largest_seqno).then(b.id.cmp(&a.id))
    });
    Ok(tables)
}

fn in_key_order<T: TableRef>(mut tables: Vec<Arc<T>>) -> Result<Vec<Arc<T>>> {
    tables.sort_by(|a, b| a.meta().smallest_key.cmp(&b.meta().smallest_key));
    for pair in tables.windows(2) {
        let (left, right) = (pair[0].meta(), pair[1].meta());
        if left.largest_key >= right.smallest_key {
            return impossible(format!("tables {} and {} of a run overlap", left.id, right.id));
        }
    }
    Ok(tables)
}
