//! How much to slow writers down: a function from the state of the tree to a
//! pause, smooth and bounded.

use std::time::Duration;

/// What the background still has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Debt {
    /// Tables in level 0.
    pub(crate) level0_tables: usize,
    /// Level-0 tables that start a compaction.
    pub(crate) level0_trigger: usize,
    /// Memory tables waiting for their flush.
    pub(crate) frozen: usize,
    /// How many of them may wait.
    pub(crate) max_frozen: usize,
}

/// Level 0 may hold this many times its trigger before writers are slowed.
const FREE_LEVEL0_TRIGGERS: usize = 3;
/// At this many triggers writers get the longest pause.
const FULL_LEVEL0_TRIGGERS: usize = 12;
/// The longest pause for a group: long enough to halve the rate many times
/// over, short enough to stay below a slow sync.
const MAX_PAUSE: Duration = Duration::from_millis(1);

/// The pause before a group: zero without debt, rising with its square.
pub(crate) fn pause(debt: Debt) -> Duration {
    // Who wants no compactions names a trigger out of reach.
    let free = debt.level0_trigger.saturating_mul(FREE_LEVEL0_TRIGGERS);
    let span = debt.level0_trigger.saturating_mul(FULL_LEVEL0_TRIGGERS - FREE_LEVEL0_TRIGGERS);
    let excess = debt.level0_tables.saturating_sub(free).min(span);
    let level0 = excess as f64 / span.max(1) as f64;
    // The first waiting memory table is normal.
    let waiting = debt.frozen.saturating_sub(1) as f64;
    let frozen = (waiting / debt.max_frozen.max(1) as f64).min(1.0);
    let pressure = level0.max(frozen);
    MAX_PAUSE.mul_f64(pressure * pressure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debt(level0_tables: usize, frozen: usize) -> Debt {
        Debt { level0_tables, level0_trigger: 4, frozen, max_frozen: 3 }
    }

    #[test]
    fn no_debt_no_pause() {
        assert_eq!(pause(debt(12, 1)), Duration::ZERO);
    }

    #[test]
    fn a_trigger_out_of_reach_is_no_debt() {
        let unreachable = Debt { level0_trigger: usize::MAX, ..debt(1000, 0) };
        assert_eq!(pause(unreachable), Duration::ZERO);
    }

    #[test]
    fn pauses_rise_without_a_cliff_and_stay_bounded() {
        let pauses: Vec<Duration> = (0..200).map(|tables| pause(debt(tables, 0))).collect();
        assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(pauses.windows(2).all(|pair| pair[1] - pair[0] <= MAX_PAUSE / 10));
        assert_eq!(pauses.last(), Some(&MAX_PAUSE));
        assert!(pause(debt(0, 3)) > pause(debt(0, 2)));
    }
}
