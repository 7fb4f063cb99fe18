//! Bugs of order: between two files, and between a file and its directory.

use super::{Hunt, Mutant};

pub(super) const MUTANTS: [Mutant; 8] = [
    Mutant {
        name: "install-without-directory-sync",
        hunt: Hunt::Simulation,
        bug: "the manifest names tables whose names are not durable (RocksDB #14780)",
        file: "kv-engine/src/install.rs",
        original: "        self.sync_directory()?;
        let database_id",
        code: "        if !MUTANT {
            self.sync_directory()?;
        }
        let database_id",
    },
    Mutant {
        name: "manifest-without-directory-sync",
        hunt: Hunt::Simulation,
        bug: "the old manifest goes before the name of the new one is durable",
        file: "kv-engine/src/manifest.rs",
        original: "        self.snapshot_end = self.log.file_bytes();
        env.fs.sync_dir()",
        code: "        self.snapshot_end = self.log.file_bytes();
        if MUTANT { Ok(()) } else { env.fs.sync_dir() }",
    },
    Mutant {
        name: "manifest-unsynced",
        hunt: Hunt::Simulation,
        bug: "files are removed on the word of an edit that is not durable (LevelDB #189)",
        file: "kv-engine/src/manifest.rs",
        original: "            self.log.append(&payload)?;
        }
        self.log.sync()",
        code: "            self.log.append(&payload)?;
        }
        if MUTANT { self.log.flush() } else { self.log.sync() }",
    },
    Mutant {
        name: "log-removed-before-the-manifest",
        hunt: Hunt::Simulation,
        bug: "a flushed log is removed before the edit that makes it superfluous",
        file: "kv-engine/src/flush.rs",
        original: "        self.install(&edit)?;",
        code: "        if MUTANT {
            self.remove_segments_before(frozen.next_segment)?;
        }
        self.install(&edit)?;",
    },
    Mutant {
        name: "inputs-removed-before-the-manifest",
        hunt: Hunt::Simulation,
        bug: "compaction removes its inputs before its outputs count (RocksDB #5379)",
        file: "kv-engine/src/install.rs",
        original: "        if let Err(error) = manifest.commit(edit, Arc::clone(&new)) {",
        code: "        if MUTANT {
            for live in edit.obsolete_ids().filter_map(|id| known.get(&id)) {
                let _ = self.env.fs.remove(&live.meta().file_name());
            }
        }
        if let Err(error) = manifest.commit(edit, Arc::clone(&new)) {",
    },
    Mutant {
        name: "failed-edit-undone",
        hunt: Hunt::Test("failing_disk::after_a_failed_sync_of_the_manifest"),
        bug: "tables of an edit whose sync failed are removed, and the edit is durable (RocksDB #5379)",
        file: "kv-engine/src/install.rs",
        original: "            return Err(self.poison(format!(\"cannot write the manifest: {error}\")));",
        code: "            if MUTANT {
                self.discard_tables(edit, &known);
            }
            return Err(self.poison(format!(\"cannot write the manifest: {error}\")));",
    },
    Mutant {
        name: "table-removed-under-a-reader",
        hunt: Hunt::Simulation,
        bug: "a file goes while a snapshot reads it",
        file: "kv-engine/src/install.rs",
        original: "            live.mark_obsolete();",
        code: "            live.mark_obsolete();
            if MUTANT {
                let _ = self.env.fs.remove(&live.meta().file_name());
            }",
    },
    Mutant {
        name: "tail-cut-before-the-manifest",
        hunt: Hunt::Simulation,
        bug: "a recovery changes the log before it has noted what it found",
        file: "kv-engine/src/replay.rs",
        original: "            cut(&*env.fs, name, len)?;",
        code: "            cut(&*env.fs, name, if MUTANT { reader.good_file_bytes() } else { len })?;",
    },
];
