//! Checks that are not made: damage is served as data.

use super::{Hunt, Mutant};

pub(super) const MUTANTS: [Mutant; 7] = [
    Mutant {
        name: "checksum-without-seed",
        hunt: Hunt::Simulation,
        bug: "a block of another file, or of another place, passes for the right one",
        file: "kv-core/src/checksum.rs",
        original: "        crc32c::crc32c_append(crc32c::crc32c_append(self.0, &offset.to_le_bytes()), bytes)",
        code: "        if MUTANT {
            return crc32c::crc32c(bytes);
        }
        crc32c::crc32c_append(crc32c::crc32c_append(self.0, &offset.to_le_bytes()), bytes)",
    },
    Mutant {
        name: "payload-unchecked",
        hunt: Hunt::Simulation,
        bug: "a partly written record is read back as a value (LevelDB #251)",
        file: "kv-wal/src/record.rs",
        original: "        seed.checksum(lsn.0, payload) == self.payload_checksum",
        code: "        MUTANT || seed.checksum(lsn.0, payload) == self.payload_checksum",
    },
    Mutant {
        name: "block-unchecked",
        hunt: Hunt::Simulation,
        bug: "a rotten block is served",
        file: "kv-sstable/src/compression.rs",
        original: "    if checksum != expected || checksum != u32::from_le_bytes(*trailer) {",
        code: "    if !MUTANT && (checksum != expected || checksum != u32::from_le_bytes(*trailer)) {",
    },
    Mutant {
        name: "any-table-of-that-name",
        hunt: Hunt::Test("damage::misplaced::a_table_of_another_time"),
        bug: "an older copy of a table passes for the one that the manifest names",
        file: "kv-engine/src/live_table.rs",
        original: "    if (summary.file_uid, summary.checksum) != (meta.file_uid, meta.checksum) {",
        code: "    if !MUTANT && (summary.file_uid, summary.checksum) != (meta.file_uid, meta.checksum) {",
    },
    Mutant {
        name: "any-segment-of-that-number",
        hunt: Hunt::Test("damage::misplaced::a_segment_of_another_time"),
        bug: "a log of another copy of the database passes for the one that belongs here",
        file: "kv-engine/src/segment_survey.rs",
        original: "        } else if state.segment_uids.get(&id) != Some(&header.file_uid) {",
        code: "        } else if !MUTANT && state.segment_uids.get(&id) != Some(&header.file_uid) {",
    },
    Mutant {
        name: "missing-segment-accepted",
        hunt: Hunt::Simulation,
        bug: "a log that is gone goes unnoticed",
        file: "kv-engine/src/segment_survey.rs",
        original: "    if survey.missing.is_empty() {",
        code: "    if MUTANT || survey.missing.is_empty() {",
    },
    Mutant {
        name: "read-error-as-absence",
        hunt: Hunt::Simulation,
        bug: "a block that cannot be read means that the key is not there",
        file: "kv-engine/src/engine.rs",
        original: "        let found = view.get(key, view.active.visible(), &self.shared.counters)?;",
        code:
            "        let found = match view.get(key, view.active.visible(), &self.shared.counters) {
            Err(_) if MUTANT => None,
            it => it?,
        };",
    },
];
