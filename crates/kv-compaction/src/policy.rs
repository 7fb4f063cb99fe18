//! The figures that compactions are picked by.

use crate::table_meta::TableMeta;
use crate::version::LAST_LEVEL;

/// When to compact, and how much at once.
///
/// Targets are static: the debt that writers are paced by must not move
/// because the tree did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Runs in level 0 that start a compaction. Tables that one flush wrote
    /// are one run. Default 4: a read probes at most a handful of tables, and
    /// level 1 is rewritten once for every four flushes.
    pub level0_trigger: usize,
    /// Size that level 1 may have, in bytes. Default 256 MiB: four flushes of
    /// 64 MiB, so that a merge of level 0 writes about as much as it takes in.
    pub level_base_bytes: u64,
    /// How many times larger each further level may be. Default 10.
    pub level_ratio: u64,
    /// Size at which the output of a compaction is cut, in bytes. Default
    /// 64 MiB: rewritten in about half a second, and 1,600 tables for 100 GB.
    pub table_bytes: u64,
    /// How many tables of [`table_bytes`](Policy::table_bytes) the table of one
    /// level may overlap in the next before its output is cut. Default 10, the
    /// ratio: the overlap that a table of even spread has.
    pub overlap_limit_tables: u64,
    /// How many tables of [`table_bytes`](Policy::table_bytes) a plan may take
    /// in when it has a choice. Default 25: 1.6 GiB, some 15 seconds of work.
    pub plan_limit_tables: u64,
    /// Share of deletes, in percent, above which a table is rewritten when
    /// nothing else is to be done. Default 30.
    pub delete_percent: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            level0_trigger: 4,
            level_base_bytes: 256 << 20,
            level_ratio: 10,
            table_bytes: 64 << 20,
            overlap_limit_tables: 10,
            plan_limit_tables: 25,
            delete_percent: 30,
        }
    }
}

/// How many bytes below a delete is taken to make disposable, in entries of
/// the table it is in.
const DELETE_WEIGHT: u128 = 2;

impl Policy {
    /// Bytes that `level` may hold before it is compacted; no limit for the
    /// last level, and level 0 counts runs instead.
    pub fn target_bytes(&self, level: usize) -> u64 {
        if level == 0 || level >= LAST_LEVEL {
            return u64::MAX;
        }
        let growth = self.level_ratio.saturating_pow(level as u32 - 1);
        self.level_base_bytes.saturating_mul(growth)
    }

    /// Bytes of the next level that one table may overlap.
    pub fn overlap_limit_bytes(&self) -> u64 {
        self.table_bytes.saturating_mul(self.overlap_limit_tables)
    }

    /// Bytes that a plan may take in when it has a choice.
    pub fn plan_limit_bytes(&self) -> u64 {
        self.table_bytes.saturating_mul(self.plan_limit_tables)
    }

    /// The size a table is counted with: a delete stands for the entries it
    /// makes disposable further down.
    pub(crate) fn weight_bytes(&self, meta: &TableMeta) -> u64 {
        let counted = u128::from(meta.entries) + DELETE_WEIGHT * u128::from(meta.deletes);
        let weight = u128::from(meta.file_bytes) * counted / u128::from(meta.entries.max(1));
        u64::try_from(weight).unwrap_or(u64::MAX)
    }

    /// True if the table should be rewritten for its deletes alone.
    pub(crate) fn is_dense_with_deletes(&self, meta: &TableMeta) -> bool {
        u128::from(meta.deletes) * 100 > u128::from(meta.entries) * u128::from(self.delete_percent)
    }
}
