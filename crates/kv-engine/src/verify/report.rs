//! What a check of a directory found, as data.

use kv_core::Error;

use crate::repair::ManifestState;

/// What a check of a directory found.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct VerifyReport {
    /// The manifest that counts, or the one of which the most is left; empty if
    /// none can be read.
    pub manifest: String,
    /// How much of it could be used.
    pub manifest_state: ManifestState,
    /// Every table and segment without damage, with what is in it.
    pub files: Vec<VerifiedFile>,
    /// What is wrong, one entry for each missing file and each damaged part of
    /// a file.
    pub problems: Vec<Problem>,
    /// Files that are not ours.
    pub foreign: Vec<String>,
    /// Files of ours that nothing refers to: the next open removes them.
    pub unused: Vec<String>,
}

/// A file without damage.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct VerifiedFile {
    /// Its name.
    pub name: String,
    /// What it was compared with.
    pub judged_by: Basis,
    /// Entries of a table, records of a segment.
    pub items: u64,
    /// Bytes behind the last record that a crash left incomplete; they were
    /// never acknowledged as durable.
    pub torn_bytes: u64,
    /// Frame stamps of a segment that fail their checksum although the records
    /// around them are intact. Nothing is lost and an open goes on, but the device
    /// is not to be trusted.
    pub damaged_stamps: u64,
}

/// What a file was compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// What the manifest says of it, or an intact part of one, besides its own
    /// checksums.
    Manifest,
    /// Its own header, checksums and counts: that it is the right file, and
    /// none but the newest, nobody can say.
    FileAlone,
}

/// Damage.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// Where in it; `None` where the file as a whole is meant.
    pub offset: Option<u64>,
    /// Length of the damaged part, where that is known.
    pub bytes: Option<u64>,
    /// What is wrong, in a sentence with file and offset.
    pub what: String,
    /// What to do about it.
    pub advice: &'static str,
}

const RESTORE: &str = "restore the file from a backup, or salvage what is left with kv repair";
const PUT_BACK: &str = "put the file back, or salvage what is left with kv repair";
const CHECK_DEVICE: &str = "check the device; copy what can be read to another one with kv repair";
const USE_NEWER: &str = "use the version of kv that wrote it";

impl Problem {
    pub(super) fn of_error(file: &str, error: &Error) -> Problem {
        let offset = match error {
            Error::Corruption { offset, .. } => Some(*offset),
            _ => None,
        };
        let advice = match error {
            Error::Io { .. } if error.is_not_found() => PUT_BACK,
            Error::Io { .. } => CHECK_DEVICE,
            Error::Unsupported { .. } => USE_NEWER,
            _ => RESTORE,
        };
        Problem { file: file.into(), offset, bytes: None, what: error.to_string(), advice }
    }

    pub(super) fn of_range(file: &str, offset: u64, bytes: u64, what: &str) -> Problem {
        let what = Error::corruption(file, offset, what).to_string();
        Problem {
            file: file.into(),
            offset: Some(offset),
            bytes: Some(bytes),
            what,
            advice: RESTORE,
        }
    }

    pub(super) fn of_device(file: &str, offset: u64, bytes: u64) -> Problem {
        let what = "the device cannot read this part";
        Problem { advice: CHECK_DEVICE, ..Problem::of_range(file, offset, bytes, what) }
    }

    pub(super) fn of_missing(file: &str, what: String) -> Problem {
        Problem { file: file.into(), offset: None, bytes: None, what, advice: PUT_BACK }
    }

    /// True if it tells of the place that `error` does.
    pub(super) fn covers(&self, error: &Error) -> bool {
        let Error::Corruption { file, offset, .. } = error else { return false };
        let start = self.offset.unwrap_or_default();
        self.file == *file && (start..=start + self.bytes.unwrap_or_default()).contains(offset)
    }
}

impl VerifyReport {
    /// Notes the damaged parts of a file that failed its check with `error`,
    /// or the error itself where no part stands out.
    pub(super) fn add_problems(&mut self, file: &str, error: &Error, damage: Vec<Problem>) {
        if damage.is_empty() {
            self.problems.push(Problem::of_error(file, error));
        }
        self.problems.extend(damage);
    }
}
