//! How much of each experiment a soak does, and what is next: pure.

/// Minutes in which a full soak reaches its figures on two cores.
pub(super) const FULL_MINUTES: u64 = 75;
/// Parts in which the work of one experiment is done, so that all get on alike
/// and an interrupted soak has something to say of each.
const SLICES: u64 = 20;

/// What a full soak does of something, scaled to `minutes`; at least one.
pub(super) fn scaled(full: u64, minutes: u64) -> u64 {
    (u128::from(full) * u128::from(minutes) / u128::from(FULL_MINUTES)).max(1) as u64
}

/// How far one experiment has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) done: u64,
    pub(super) target: u64,
    /// Nothing more is done of it, whatever is left.
    pub(super) is_closed: bool,
}

impl Progress {
    fn is_open(self) -> bool {
        !self.is_closed && self.done < self.target
    }

    /// What is done of it at once: a part, and not less than what is worth the
    /// preparation and what a part is judged by. So the last takes what would be too
    /// little for one of its own.
    pub(super) fn slice(self, least: u64) -> u64 {
        let left = self.target.saturating_sub(self.done);
        let part = self.target.div_ceil(SLICES).max(least);
        if left < part.saturating_add(least) { left } else { part }
    }

    /// True if a smaller share of it is done than of `other`.
    fn is_behind(self, other: Progress) -> bool {
        u128::from(self.done) * u128::from(other.target)
            < u128::from(other.done) * u128::from(self.target)
    }
}

/// The one that is furthest behind; the first of those that are alike.
pub(super) fn next(all: &[Progress]) -> Option<usize> {
    let mut chosen: Option<usize> = None;
    for (index, progress) in all.iter().enumerate().filter(|(_, progress)| progress.is_open()) {
        if chosen.is_none_or(|best| progress.is_behind(all[best])) {
            chosen = Some(index);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::{FULL_MINUTES, Progress, next, scaled};

    fn progress(done: u64, target: u64) -> Progress {
        Progress { done, target, is_closed: false }
    }

    #[test]
    fn volumes_follow_the_time() {
        assert_eq!(scaled(5000, FULL_MINUTES), 5000);
        assert_eq!(scaled(5000, FULL_MINUTES * 2), 10_000);
        assert_eq!(scaled(5000, 3), 200);
        assert_eq!(scaled(3, 1), 1, "nothing is left out");
    }

    #[test]
    fn the_one_furthest_behind_is_next_until_all_are_done() {
        let mut all = [progress(0, 100), progress(0, 7), progress(0, 1)];
        let mut order = Vec::new();
        while let Some(index) = next(&all) {
            all[index].done += all[index].slice(3);
            order.push(index);
        }
        assert!(all.iter().all(|progress| progress.done == progress.target), "{all:?}");
        assert_eq!(order[..3], [0, 1, 2], "each gets its turn before any gets a second");
    }

    #[test]
    fn no_part_is_smaller_than_what_it_is_judged_by() {
        for (target, least) in [(324, 5), (1000, 20), (108, 20), (10, 0), (5000, 100)] {
            let mut all = progress(0, target);
            while all.is_open() {
                let part = all.slice(least);
                assert!(part >= least.max(1), "{part} of {target} at a time, after {}", all.done);
                all.done += part;
            }
            assert_eq!(all.done, target);
        }
        assert_eq!(progress(0, 3).slice(20), 3, "where there is less, it is all there is");
    }

    #[test]
    fn what_is_closed_is_left_alone() {
        let closed = Progress { is_closed: true, ..progress(0, 9) };
        assert_eq!(next(&[closed]), None);
        assert_eq!(next(&[closed, progress(8, 9)]), Some(1));
    }
}
