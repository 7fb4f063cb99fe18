//! Bugs of flush, compaction and commit that need no crash, or hardly one.

use super::{Hunt, Mutant};

pub(super) const MUTANTS: [Mutant; 7] = [
    Mutant {
        name: "tombstone-dropped-early",
        hunt: Hunt::Simulation,
        bug: "a deleted key comes back",
        file: "kv-compaction/src/rewrite.rs",
        original: "    let may_be_below = is_kept_for_sure || options.below.may_hold(entry.key());",
        code: "    let may_be_below = is_kept_for_sure || (!MUTANT && options.below.may_hold(entry.key()));",
    },
    Mutant {
        name: "older-version-wins",
        hunt: Hunt::Simulation,
        bug: "a merge takes an overwritten value for the newest",
        file: "kv-core/src/merge.rs",
        original: "            .then_with(|| b.seqno().cmp(&a.seqno()))",
        code: "            .then_with(|| {
                let newest_first = b.seqno().cmp(&a.seqno());
                if MUTANT { newest_first.reverse() } else { newest_first }
            })",
    },
    Mutant {
        name: "flushed-through-too-far",
        hunt: Hunt::Simulation,
        bug: "writes of the active memory table count as flushed",
        file: "kv-engine/src/flush.rs",
        original: "            flushed_through: Some(frozen.last_seqno),",
        code: "            flushed_through: Some(if MUTANT { self.applied() } else { frozen.last_seqno }),",
    },
    Mutant {
        name: "one-segment-too-many",
        hunt: Hunt::Simulation,
        bug: "the log of the active memory table is removed with the flushed one",
        file: "kv-engine/src/flush.rs",
        original: "            oldest_segment: Some(frozen.next_segment),",
        code: "            oldest_segment: Some(frozen.next_segment + u64::from(MUTANT)),",
    },
    Mutant {
        name: "filter-forgets-keys",
        hunt: Hunt::Simulation,
        bug: "a filter says that a key is not there although it is",
        file: "kv-sstable/src/filter.rs",
        original: "        probed_bits(bits, self.probes).all(",
        code: "        !(MUTANT && line % 3 == 0)
            && probed_bits(bits, self.probes).all(",
    },
    Mutant {
        name: "conflict-overlooked",
        hunt: Hunt::Simulation,
        bug: "a conditional batch is committed over a newer write",
        file: "kv-engine/src/commit.rs",
        original: "            } else if !expectations_hold(&view, &request.batch) {",
        code: "            } else if !MUTANT && !expectations_hold(&view, &request.batch) {",
    },
    Mutant {
        name: "half-a-batch",
        hunt: Hunt::Simulation,
        bug: "the last write of a batch is logged and not applied",
        file: "kv-engine/src/replay.rs",
        original: "        for op in &batch.ops {",
        code: "        let applied = batch.ops.len() - usize::from(MUTANT && batch.ops.len() > 2);
        for op in batch.ops.iter().take(applied) {",
    },
];
