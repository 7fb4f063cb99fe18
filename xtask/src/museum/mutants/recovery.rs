//! Bugs of recovery, and of what it is told.

use super::{Hunt, Mutant};

pub(super) const MUTANTS: [Mutant; 9] = [
    Mutant {
        name: "rot-taken-for-a-tear",
        hunt: Hunt::Test("damage::every_flipped_bit_of_the_active_segment"),
        bug: "a damaged record ends the log in silence (RocksDB, point-in-time recovery)",
        file: "kv-wal/src/tail.rs",
        original: "    if let Some(proof_offset) = suspect.find_proof_of_durability() {",
        code: "    if MUTANT {
        return Verdict::Torn;
    }
    if let Some(proof_offset) = suspect.find_proof_of_durability() {",
    },
    Mutant {
        name: "only-the-last-segment",
        hunt: Hunt::Simulation,
        bug: "sealed logs are not replayed",
        file: "kv-engine/src/replay.rs",
        original: "            if batch.last_seqno() > state.flushed_through {",
        code: "            if batch.last_seqno() > state.flushed_through
                && !(MUTANT && Some(&id) != segments.keys().next_back())
            {",
    },
    Mutant {
        name: "sequence-numbers-start-again",
        hunt: Hunt::Simulation,
        bug: "new writes are older than recovered ones",
        file: "kv-engine/src/recovery.rs",
        original: "        next_seqno: replayed.last_seqno.plus(1),",
        code: "        next_seqno: if MUTANT {
            state.flushed_through.plus(1)
        } else {
            replayed.last_seqno.plus(1)
        },",
    },
    Mutant {
        name: "replayed-log-forgotten",
        hunt: Hunt::Simulation,
        bug: "a second crash loses what the first recovery brought back",
        file: "kv-engine/src/recovery.rs",
        original: "    state.forget_segments_before(replayed.first_needed.unwrap_or(next_segment));",
        code: "    let first_needed = replayed.first_needed.filter(|_| !MUTANT);
    state.forget_segments_before(first_needed.unwrap_or(next_segment));",
    },
    Mutant {
        name: "shown-before-durable",
        hunt: Hunt::Simulation,
        bug: "recovery shows what only the cache holds, and counts on it",
        file: "kv-engine/src/replay.rs",
        original: "        if reader.needs_sync() {",
        code: "        if !MUTANT && reader.needs_sync() {",
    },
    Mutant {
        name: "old-manifest-removed-first",
        hunt: Hunt::Simulation,
        bug: "recovery removes the manifest before its successor is complete (RocksDB #5856)",
        file: "kv-engine/src/recovery.rs",
        original: "    let manifest_id = loaded.highest_id + 1;",
        code: "    if MUTANT {
        let all: Vec<String> = listing.manifests.iter().copied().map(names::manifest).collect();
        remove_all(&env, &all)?;
    }
    let manifest_id = loaded.highest_id + 1;",
    },
    Mutant {
        name: "file-numbers-used-again",
        hunt: Hunt::Simulation,
        bug: "a table of a crashed process is in the way of a new one, or taken for it",
        file: "kv-engine/src/recovery.rs",
        original: "    state.next_file_id = ids.fold(state.next_file_id, u64::max) + FILE_ID_RESERVE;",
        code: "    let next = if MUTANT { 1 } else { ids.fold(state.next_file_id, u64::max) };
    state.next_file_id = next + FILE_ID_RESERVE;",
    },
    Mutant {
        name: "live-tables-as-orphans",
        hunt: Hunt::Simulation,
        bug: "recovery removes tables that the manifest names",
        file: "kv-engine/src/recovery.rs",
        original: "        if !named.contains(name) && is_leftover(fs, *id, name, loaded)? {",
        code: "        if (MUTANT || !named.contains(name)) && is_leftover(fs, *id, name, loaded)? {",
    },
    Mutant {
        name: "unfinished-manifest-counts",
        hunt: Hunt::Simulation,
        bug: "a manifest whose first record never made it hides its predecessor",
        file: "kv-engine/src/manifest_load.rs",
        original: "    Ok((edits > 0).then_some(loaded))",
        code: "    Ok((MUTANT || edits > 0).then_some(loaded))",
    },
];
