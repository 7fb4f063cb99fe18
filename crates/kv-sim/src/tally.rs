//! Which paths of the engine a run has taken.

use kv_engine::{RecoveryReport, Stats};

/// How often each thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Memory tables that became tables.
    pub flushes: u64,
    /// Compactions that rewrote tables.
    pub compactions: u64,
    /// Compactions that only moved a table to another level.
    pub trivial_moves: u64,
    /// Conditional batches that were not committed.
    pub conflicts: u64,
    /// Commit groups.
    pub groups: u64,
    /// Batches in them.
    pub batches: u64,
    /// Opens.
    pub opens: u64,
    /// Opens that replayed more than one segment of the log.
    pub opens_of_several_segments: u64,
    /// Opens that cut a torn tail and set its bytes aside.
    pub torn_tails: u64,
    /// Opens that found the mark of a proper close.
    pub clean_opens: u64,
    /// Opens that removed leftovers.
    pub opens_with_leftovers: u64,
    /// Errors of the engine that were in order, because something was made to
    /// go wrong.
    pub errors: u64,
    /// Those among them that blame what is stored.
    pub damage_reports: u64,
    /// Calls of the engine that a fault made panic.
    pub panics: u64,
    /// Processes that died of a map that cannot be read.
    pub deaths: u64,
    /// Histories that damage has ended: what could be read was right.
    pub ended_by_damage: u64,
}

impl Tally {
    /// Counts what an engine has done.
    pub(crate) fn add_engine(&mut self, stats: &Stats) {
        self.flushes += stats.flushes;
        self.compactions += stats.compactions;
        self.trivial_moves += stats.trivial_moves;
        self.conflicts += stats.conflicts;
        self.groups += stats.groups;
        self.batches += stats.batches;
    }

    /// Counts what an open has done.
    pub(crate) fn add_report(&mut self, report: &RecoveryReport) {
        let kept = |cut: &kv_engine::CutTail| cut.kept_as.is_some();
        let used = report.segments.iter().filter(|segment| segment.records > 0);
        self.opens += 1;
        self.opens_of_several_segments += u64::from(used.count() > 1);
        self.torn_tails +=
            u64::from(report.segments.iter().any(|it| it.cut.as_ref().is_some_and(kept)));
        self.clean_opens += u64::from(report.clean_shutdown && !report.created);
        self.opens_with_leftovers += u64::from(!report.removed.is_empty());
    }

    /// Adds up two tallies.
    pub fn add(&mut self, other: &Tally) {
        self.flushes += other.flushes;
        self.compactions += other.compactions;
        self.trivial_moves += other.trivial_moves;
        self.conflicts += other.conflicts;
        self.groups += other.groups;
        self.batches += other.batches;
        self.opens += other.opens;
        self.opens_of_several_segments += other.opens_of_several_segments;
        self.torn_tails += other.torn_tails;
        self.clean_opens += other.clean_opens;
        self.opens_with_leftovers += other.opens_with_leftovers;
        self.errors += other.errors;
        self.damage_reports += other.damage_reports;
        self.panics += other.panics;
        self.deaths += other.deaths;
        self.ended_by_damage += other.ended_by_damage;
    }
}
