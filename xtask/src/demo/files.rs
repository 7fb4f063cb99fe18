//! The database directory seen from outside: which files came and went.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::server_process::file_names;

/// All names ever seen in a directory.
pub(crate) struct FileWatch {
    directory: PathBuf,
    seen: BTreeSet<String>,
}

/// Files of a database directory by kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FileCounts {
    /// Segments of the write-ahead log.
    pub(crate) segments: usize,
    /// Tables written by flushes.
    pub(crate) flushed: usize,
    /// Tables written by compactions.
    pub(crate) compacted: usize,
}

impl FileWatch {
    pub(crate) fn new(directory: &Path) -> FileWatch {
        FileWatch { directory: directory.to_path_buf(), seen: BTreeSet::new() }
    }

    /// Looks again and says what is there now.
    pub(crate) fn look(&mut self) -> FileCounts {
        let names = file_names(&self.directory);
        let counts = count(names.iter().map(String::as_str));
        self.seen.extend(names);
        counts
    }

    /// What has been there at any time.
    pub(crate) fn ever(&self) -> FileCounts {
        count(self.seen.iter().map(String::as_str))
    }
}

fn count<'a>(names: impl Iterator<Item = &'a str>) -> FileCounts {
    let mut counts = FileCounts::default();
    for name in names {
        match name {
            "wal.log" => counts.segments += 1,
            _ if name.starts_with("wal_") && name.ends_with(".log") => counts.segments += 1,
            _ if name.starts_with("sst_") && name.ends_with(".db") => counts.flushed += 1,
            _ if name.starts_with("compacted_") && name.ends_with(".db") => counts.compacted += 1,
            _ => {}
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::{FileCounts, count};

    #[test]
    fn files_are_counted_by_kind() {
        let names = [
            "LOCK",
            "MANIFEST_000001",
            "wal.log",
            "wal_000003.log",
            "sst_000004.db",
            "sst_000005.db.tmp",
            "compacted_000006.db",
        ];
        let expected = FileCounts { segments: 2, flushed: 1, compacted: 1 };
        assert_eq!(count(names.into_iter()), expected);
    }
}
