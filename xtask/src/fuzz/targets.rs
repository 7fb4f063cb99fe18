//! The fuzz targets, and how long their inputs may be.

/// A target of the fuzz workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) name: &'static str,
    /// Inputs longer than this find nothing that shorter ones do not, and slow
    /// all others down.
    pub(super) max_input_bytes: u32,
}

const fn target(name: &'static str, max_input_bytes: u32) -> Target {
    Target { name, max_input_bytes }
}

/// In the order of the table that is printed.
pub(super) const TARGETS: [Target; 13] = [
    target("resp", 4096),
    target("resp_conn", 4096),
    target("wal_replay", 2048),
    target("manifest_replay", 1024),
    target("table_open_read_scan", 4096),
    target("block", 2048),
    target("filter", 512),
    target("index", 512),
    target("codec", 1024),
    target("config", 1024),
    target("glob", 256),
    target("engine_ops", 512),
    target("repair", 512),
];

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test reads the source tree")]
mod tests {
    use std::collections::BTreeSet;

    use super::TARGETS;
    use crate::workspace::source_root;

    fn names(directory: &str) -> BTreeSet<String> {
        let entries = std::fs::read_dir(source_root().join("fuzz").join(directory)).unwrap();
        entries
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn every_target_has_its_file_and_its_corpus() {
        let listed = TARGETS.iter().map(|target| target.name.to_owned()).collect();
        assert_eq!(names("fuzz_targets"), listed);
        assert_eq!(names("corpus"), listed);
    }
}
