//! How much has to be rewritten before the tree is in shape.

use crate::policy::Policy;
use crate::table_meta::TableRef;
use crate::version::{LAST_LEVEL, Version};

/// Bytes that compactions have still to read until level 0 is empty and no
/// level is over its target: what writers are paced by, and what a forecast
/// starts from.
///
/// 1. Level 0 is read once, and level 1 with it; a level 0 that is not full
///    yet is charged its share of that.
/// 2. Each level passes its excess over the target on to the next, and each
///    byte that leaves is merged with as many bytes of the next level as lie
///    under it on average.
///
/// Targets are static, so a flush of `n` bytes raises the debt by `n` times
/// the rewriting that is ahead of it, whatever the state of level 0: there are
/// no leaps, and carrying out a plan lowers the debt by about what it reads.
/// A healthy tree swings between 0 and the debt of one full level 0; only
/// what is above that should slow a writer down.
pub fn debt_bytes<T: TableRef>(version: &Version<T>, policy: &Policy) -> u64 {
    let trigger = policy.level0_trigger.max(1) as u128;
    let runs = (version.level0_runs() as u128).min(trigger);
    let mut passed_on = u128::from(version.level_bytes(0));
    let mut debt = passed_on + u128::from(version.level_bytes(1)) * runs / trigger;
    for level in 1..LAST_LEVEL {
        let bytes = u128::from(version.level_bytes(level)) + passed_on;
        let excess = bytes.saturating_sub(u128::from(policy.target_bytes(level)));
        if excess > 0 {
            debt += excess + excess * u128::from(version.level_bytes(level + 1)) / bytes;
        }
        passed_on = excess;
    }
    u64::try_from(debt).unwrap_or(u64::MAX)
}
