//! A decision: what to compact, where to, and why.

use std::fmt;
use std::sync::Arc;

use kv_core::{Error, Result};

use crate::edit::VersionEdit;
use crate::key_span::{KeyCoverage, KeySpan};
use crate::table_meta::{TableMeta, TableRef};
use crate::version::Version;

/// Why a plan was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Level 0 has as many runs as the policy allows.
    Level0Full,
    /// The level is over its target size.
    LevelOverTarget,
    /// The table holds many deletes.
    Deletes,
    /// Nothing else is to be done and readers gain from it.
    Idle,
    /// A caller asked for the range.
    Manual,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Reason::Level0Full => "level 0 is full",
            Reason::LevelOverTarget => "the level is over its target",
            Reason::Deletes => "many deletes",
            Reason::Idle => "idle",
            Reason::Manual => "asked for",
        })
    }
}

/// A table of the level below the target, as a place to cut the output at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grandparent {
    /// Its last key.
    pub largest_key: Vec<u8>,
    /// Length of its file, in bytes.
    pub file_bytes: u64,
}

/// What one compaction takes in and where its output goes.
///
/// A plan is a value: it holds no table open and stays true while it is marked
/// in [`Busy`](crate::Busy), whatever other plans and flushes install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The level that is to shrink.
    pub level: u32,
    /// The level that the output belongs to; the same one if the tables are
    /// rewritten in place to be rid of deletes.
    pub target_level: u32,
    /// Level and id of every input, newest first, as
    /// [`removed`](VersionEdit::removed) wants them.
    pub inputs: Vec<(u32, u64)>,
    /// The inputs go to the target as they are: no file is touched.
    pub trivial_move: bool,
    /// Why.
    pub reason: Reason,
    /// The keys of all inputs.
    pub span: KeySpan,
    /// Size of the inputs, in bytes.
    pub input_bytes: u64,
    /// Entries of the inputs: a rewrite must read exactly as many.
    pub input_entries: u64,
    /// The keys that levels deeper than the target may hold: a delete of any
    /// other key can be dropped.
    pub below: KeyCoverage,
    /// The tables of the level below the target that the output will overlap.
    pub grandparents: Vec<Grandparent>,
    /// The keys of the inputs of the level that is to shrink.
    pub(crate) source_span: KeySpan,
}

impl Plan {
    /// The input tables by level, newest first: what a merge has to read.
    ///
    /// # Errors
    /// `InvalidArgument` if `version` lacks one: the plan is not of this tree.
    pub fn input_tables<T: TableRef>(
        &self,
        version: &Version<T>,
    ) -> Result<Vec<(u32, Vec<Arc<T>>)>> {
        let mut groups: Vec<(u32, Vec<Arc<T>>)> = Vec::new();
        for &(level, id) in &self.inputs {
            let table = version
                .overlapping(level as usize, self.span.bounds())
                .find(|table| table.meta().id == id)
                .ok_or_else(|| {
                    Error::InvalidArgument(format!("plan input {id} is not in level {level}"))
                })?;
            match groups.last_mut() {
                Some((of, tables)) if *of == level => tables.push(Arc::clone(table)),
                _ => groups.push((level, vec![Arc::clone(table)])),
            }
        }
        Ok(groups)
    }

    /// The edit that replaces the inputs by `outputs`. For a trivial move
    /// these are the inputs themselves.
    pub fn edit(&self, outputs: impl IntoIterator<Item = TableMeta>) -> VersionEdit {
        VersionEdit {
            added: outputs.into_iter().map(|meta| (self.target_level, meta)).collect(),
            removed: self.inputs.clone(),
            ..VersionEdit::default()
        }
    }
}

impl fmt::Display for Plan {
    /// One line: `L1 -> L2 rewrite L1: 4 L2: 7 8 [a..k] (many deletes)`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.trivial_move { "move" } else { "rewrite" };
        write!(formatter, "L{} -> L{} {verb}", self.level, self.target_level)?;
        let mut current = None;
        for &(level, id) in &self.inputs {
            if current != Some(level) {
                current = Some(level);
                write!(formatter, " L{level}:")?;
            }
            write!(formatter, " {id}")?;
        }
        write!(formatter, " {} ({})", self.span, self.reason)
    }
}
