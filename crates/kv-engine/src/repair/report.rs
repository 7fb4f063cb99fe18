//! What a repair kept and what it could not keep: as data, and as text.

use std::fmt;

use serde::Serialize;

/// The account of one repair. Keys in it are text in the form of
/// [`escape_bytes`](crate::escape_bytes).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RepairReport {
    /// What was known of the tree.
    pub manifest: ManifestState,
    /// Every file of the source that has a name of ours, and every file that
    /// is missing.
    pub files: Vec<RepairedFile>,
    /// Writes that are in no file any more, by their numbers.
    pub lost_writes: Vec<LostWrites>,
    /// Keys of the new database.
    pub keys: u64,
    /// Keys that are left out because their newest known write deletes them.
    pub deleted_keys: u64,
    /// Number of the newest write that was kept.
    pub last_seqno: u64,
    /// Writes of the log behind the first lost one, left out because only a
    /// prefix was asked for.
    pub writes_behind_gap: u64,
    /// True if what was kept is the state after some write of the order in
    /// which they were made, the one that [`last_seqno`](Self::last_seqno)
    /// names.
    pub is_prefix: bool,
    /// Keys with two writes of the same number that differ: nothing tells
    /// which is newer. The one of the file listed first was kept.
    pub unordered_keys: u64,
    /// The first few of them.
    pub unordered_examples: Vec<String>,
    /// What else must be known to judge the result.
    pub warnings: Vec<String>,
    /// Files that are not ours, or of another database; not looked into.
    pub foreign: Vec<String>,
}

/// How much of a manifest could be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestState {
    /// All of it.
    Whole,
    /// Some edits: which tables belong to the tree is known in part.
    Partial,
    /// Nothing: every table that was found counts.
    #[default]
    Lost,
}

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RepairedKind {
    /// A manifest.
    Manifest,
    /// A table.
    Table,
    /// A segment of the log.
    Segment,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileUse {
    /// It belongs to the database.
    Used,
    /// It belongs to the database and is not there.
    Missing,
    /// Its writes are in other files, or it was never finished.
    NotNeeded,
    /// Nothing in it can be proven.
    Unreadable,
}

/// What was kept of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepairedFile {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: RepairedKind,
    /// What became of it.
    pub used: FileUse,
    /// Edits of a manifest, blocks of a table, records of a segment that are
    /// intact.
    pub records: u64,
    /// Entries of a table, writes of a segment that are intact.
    pub entries: u64,
    /// Entries that are lost; `None` if nobody knows how many there were.
    pub lost_entries: Option<u64>,
    /// Its length.
    pub bytes: u64,
    /// Bytes behind the last record that a crash left incomplete; they were
    /// never acknowledged as durable.
    pub torn_bytes: u64,
    /// What is damaged in it, in the order of offsets.
    pub damage: Vec<DamagedRange>,
}

/// A damaged part of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedRange {
    /// Where it starts.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// What is wrong.
    pub reason: String,
    /// True if entries or records are lost with it.
    pub loses_data: bool,
    /// The first key that may be lost, where it is known.
    pub from_key: Option<String>,
    /// The last key that may be lost, where it is known.
    pub to_key: Option<String>,
    /// Where the bytes were set aside in the new directory.
    pub kept_as: Option<String>,
}

/// A gap in the numbers of the writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostWrites {
    /// The first lost write.
    pub first: u64,
    /// The last one; `None` if nobody knows how many followed.
    pub last: Option<u64>,
    /// The segment behind or in which they are missing, if there is one.
    pub segment: Option<String>,
}

impl RepairReport {
    /// True if nothing was lost, and that can be proven.
    pub fn is_complete(&self) -> bool {
        let is_file_whole = |file: &RepairedFile| match file.used {
            FileUse::Missing | FileUse::Unreadable => false,
            FileUse::NotNeeded => true,
            FileUse::Used => !file.loses_data(),
        };
        self.manifest == ManifestState::Whole
            && self.files.iter().all(is_file_whole)
            && self.lost_writes.is_empty()
            && self.writes_behind_gap == 0
            && self.unordered_keys == 0
    }

    /// One sentence: was anything lost?
    pub fn summary(&self) -> String {
        let kept = format!("kept {} keys up to write {}", self.keys, self.last_seqno);
        let torn: u64 = self.files.iter().map(|file| file.torn_bytes).sum();
        if self.is_complete() && torn > 0 {
            return format!(
                "{kept}; nothing was lost but {torn} bytes of writes that a crash left incomplete"
            );
        }
        if self.is_complete() {
            return format!("{kept}; nothing was lost");
        }
        let ranges = self.files.iter().flat_map(|file| &file.damage);
        let ranges = ranges.filter(|range| range.loses_data).count();
        let missing = self.files.iter().filter(|file| file.used == FileUse::Missing).count();
        let mut parts =
            vec![format!("{ranges} damaged ranges"), format!("{missing} files missing")];
        if !self.lost_writes.is_empty() {
            parts.push(format!("{} gaps in the log", self.lost_writes.len()));
        }
        if self.writes_behind_gap > 0 {
            parts.push(format!("{} writes behind the first gap", self.writes_behind_gap));
        }
        if self.unordered_keys > 0 {
            parts.push(format!("{} keys in doubt", self.unordered_keys));
        }
        match self.manifest {
            ManifestState::Whole => {}
            ManifestState::Partial => parts.push("a damaged manifest".into()),
            ManifestState::Lost => parts.push("no manifest".into()),
        }
        format!("{kept}; NOT ALL: {}", parts.join(", "))
    }
}

impl RepairedFile {
    /// True if a part of it that held data is damaged.
    pub fn loses_data(&self) -> bool {
        self.damage.iter().any(|range| range.loses_data)
            || self.lost_entries.is_some_and(|lost| lost > 0)
    }
}

impl fmt::Display for RepairReport {
    /// One line a file and damaged range, and the summary as the last.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            writeln!(formatter, "{file}")?;
            for range in &file.damage {
                writeln!(formatter, "  {range}")?;
            }
        }
        for lost in &self.lost_writes {
            writeln!(formatter, "{lost}")?;
        }
        if self.unordered_keys > 0 {
            writeln!(
                formatter,
                "two writes with the same number differ for {} keys, such as {}",
                self.unordered_keys,
                self.unordered_examples.join(", ")
            )?;
        }
        for name in &self.foreign {
            writeln!(formatter, "foreign {name}: left alone")?;
        }
        for warning in &self.warnings {
            writeln!(formatter, "note: {warning}")?;
        }
        write!(formatter, "{}", self.summary())
    }
}

impl fmt::Display for RepairedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.used {
            FileUse::Missing => write!(formatter, "MISSING {name}")?,
            FileUse::NotNeeded => return write!(formatter, "not needed {name}"),
            FileUse::Unreadable => {
                write!(formatter, "UNREADABLE {name}: {} bytes", self.bytes)?;
            }
            FileUse::Used => {
                let mark = if self.loses_data() { "DAMAGED" } else { "kept" };
                let (records, entries) = match self.kind {
                    RepairedKind::Manifest => ("edits", "tables"),
                    RepairedKind::Table => ("blocks", "entries"),
                    RepairedKind::Segment => ("records", "writes"),
                };
                write!(
                    formatter,
                    "{mark} {name}: {} {entries} in {} {records}",
                    self.entries, self.records
                )?;
            }
        }
        if let Some(lost) = self.lost_entries.filter(|&lost| lost > 0) {
            write!(formatter, ", {lost} lost")?;
        }
        if self.torn_bytes > 0 {
            write!(formatter, ", {} bytes of an incomplete write left out", self.torn_bytes)?;
        }
        Ok(())
    }
}

impl fmt::Display for DamagedRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "at offset {}, {} bytes: {}", self.offset, self.bytes, self.reason)?;
        if !self.loses_data {
            write!(formatter, "; nothing is lost")?;
        }
        let unknown = "?";
        if self.from_key.is_some() || self.to_key.is_some() {
            write!(
                formatter,
                "; keys {} to {}",
                self.from_key.as_deref().unwrap_or(unknown),
                self.to_key.as_deref().unwrap_or(unknown)
            )?;
        }
        if let Some(kept_as) = &self.kept_as {
            write!(formatter, "; bytes kept as {kept_as}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LostWrites {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            Some(last) => write!(formatter, "LOST writes {} to {last}", self.first)?,
            None => write!(formatter, "LOST writes from {} on, nobody knows how many", self.first)?,
        }
        match &self.segment {
            Some(segment) => write!(formatter, ", found at {segment}"),
            None => Ok(()),
        }
    }
}

impl RepairedFile {
    pub(crate) fn new(name: String, kind: RepairedKind, used: FileUse, bytes: u64) -> RepairedFile {
        RepairedFile {
            name,
            kind,
            used,
            records: 0,
            entries: 0,
            lost_entries: None,
            bytes,
            torn_bytes: 0,
            damage: Vec::new(),
        }
    }
}

impl DamagedRange {
    pub(crate) fn new(
        offset: u64,
        bytes: u64,
        reason: impl Into<String>,
        loses_data: bool,
    ) -> DamagedRange {
        DamagedRange {
            offset,
            bytes,
            reason: reason.into(),
            loses_data,
            from_key: None,
            to_key: None,
            kept_as: None,
        }
    }
}
