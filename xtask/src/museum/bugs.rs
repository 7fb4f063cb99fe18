//! The bugs of other engines that cost their users data, and the exhibits that
//! stand for each.

/// A bug, or a family of the same one.
pub(super) struct Bug {
    /// Whose it was, with its number there.
    pub(super) seen_in: &'static str,
    /// What happened.
    pub(super) what: &'static str,
    /// The mutants that do the same to this engine.
    pub(super) mutants: &'static [&'static str],
}

pub(super) const BUGS: [Bug; 16] = [
    Bug {
        seen_in: "LevelDB #189",
        what: "the manifest is not synced before it counts",
        mutants: &["manifest-unsynced"],
    },
    Bug {
        seen_in: "LevelDB #195",
        what: "old files go before the name of the new one is durable",
        mutants: &["manifest-without-directory-sync"],
    },
    Bug {
        seen_in: "LevelDB #193, #1081",
        what: "the old log is never synced when a newer one is",
        mutants: &["segment-left-unsynced", "sync-of-the-old-segment"],
    },
    Bug {
        seen_in: "LevelDB #251",
        what: "a partly flushed append is read back as a value",
        mutants: &["payload-unchecked"],
    },
    Bug {
        seen_in: "LevelDB #333, surrealkv #390",
        what: "the manifest names a table of length zero",
        mutants: &["table-unsealed"],
    },
    Bug {
        seen_in: "RocksDB #10560",
        what: "a sync of the log races with appends and leaves a hole",
        mutants: &["synced-through-too-far"],
    },
    Bug {
        seen_in: "RocksDB #10573",
        what: "no sync of the directory for a metadata file",
        mutants: &["manifest-without-directory-sync"],
    },
    Bug {
        seen_in: "RocksDB #12489, #13169, #11149",
        what: "recovery goes on past a hole",
        mutants: &["missing-segment-accepted", "only-the-last-segment", "rot-taken-for-a-tear"],
    },
    Bug {
        seen_in: "RocksDB #12918",
        what: "the tail of a file's former life passes for the log",
        mutants: &["any-segment-of-that-number", "checksum-without-seed"],
    },
    Bug {
        seen_in: "RocksDB #12995",
        what: "writing goes on by itself after a failed append, half a batch is left",
        mutants: &["poison-without-effect", "append-error-swallowed", "half-a-batch"],
    },
    Bug {
        seen_in: "RocksDB #5379",
        what: "the sync of an edit fails, its files are deleted, the edit proves durable",
        mutants: &["failed-edit-undone", "inputs-removed-before-the-manifest"],
    },
    Bug {
        seen_in: "RocksDB #14780",
        what: "the manifest is durable before the name of the table in it",
        mutants: &["install-without-directory-sync"],
    },
    Bug {
        seen_in: "RocksDB #5856",
        what: "a crash inside recovery loses what the first one left",
        mutants: &[
            "old-manifest-removed-first",
            "replayed-log-forgotten",
            "tail-cut-before-the-manifest",
        ],
    },
    Bug {
        seen_in: "CockroachDB #32605, #32674",
        what: "a full disk is not noticed where the log is flushed",
        mutants: &["append-error-swallowed", "sync-error-swallowed"],
    },
    Bug {
        seen_in: "Pebble vfsSync, etcd #14370",
        what: "a write is answered before its sync is done",
        mutants: &["acknowledged-before-the-sync", "synced-through-too-far"],
    },
    Bug {
        seen_in: "redb fd82cedb",
        what: "the growth of a file is not durable, and the database cannot be opened",
        mutants: &["log-header-unsynced", "unfinished-manifest-counts"],
    },
];

#[cfg(test)]
mod tests {
    use super::super::mutants::all;
    use super::BUGS;

    #[test]
    fn every_bug_has_an_exhibit() {
        let names: Vec<&str> = all().iter().map(|mutant| mutant.name).collect();
        for bug in &BUGS {
            assert!(!bug.mutants.is_empty(), "{}", bug.seen_in);
            for mutant in bug.mutants {
                assert!(names.contains(mutant), "{}: there is no mutant {mutant}", bug.seen_in);
            }
        }
    }
}
