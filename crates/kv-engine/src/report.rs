//! What an open found, kept, cut and removed: as data, and as a sentence.

use std::fmt;

use kv_core::SeqNo;

/// The account of one open.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct RecoveryReport {
    /// True if the directory held no database and one was created.
    pub created: bool,
    /// True if the database had been closed properly.
    pub clean_shutdown: bool,
    /// The manifest that was read; empty for a new database.
    pub manifest: String,
    /// Tables in the tree.
    pub tables: u64,
    /// What each log segment held, oldest first.
    pub segments: Vec<SegmentReport>,
    /// Batches put back into memory from the log.
    pub batches_replayed: u64,
    /// Writes in them.
    pub writes_replayed: u64,
    /// Newest write that survived.
    pub last_seqno: SeqNo,
    /// Unfinished or no longer needed files of ours that were removed.
    pub removed: Vec<String>,
    /// Files that are not ours; they were left alone.
    pub foreign: Vec<String>,
}

/// What one log segment held.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct SegmentReport {
    /// File name when it was found.
    pub name: String,
    /// Id of the segment.
    pub id: u64,
    /// Records in it.
    pub records: u64,
    /// Length of its intact part, in bytes.
    pub bytes: u64,
    /// Damaged frame stamps among intact records: nothing is lost, but the
    /// device is not to be trusted.
    pub damaged_stamps: u64,
    /// The tail that a crash left incomplete and that was cut off.
    pub cut: Option<CutTail>,
}

/// A torn tail. Nothing in it was ever acknowledged as durable.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CutTail {
    /// Offset in the file where the good part ends.
    pub offset: u64,
    /// Bytes from there to the last one that is not zero.
    pub bytes: u64,
    /// Where the bytes were set aside.
    pub kept_as: Option<String>,
}

impl RecoveryReport {
    /// What an operator has to know of: a line for each torn tail and each
    /// segment whose device is not to be trusted, with file, offset and length.
    /// Empty after most opens.
    pub fn findings(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for segment in &self.segments {
            let name = &segment.name;
            if let Some(CutTail { offset, bytes, kept_as }) = &segment.cut {
                let mut line = format!(
                    "cut {bytes} bytes of an incomplete write from {name} at offset {offset}"
                );
                if let Some(kept_as) = kept_as {
                    line.push_str(&format!(" (kept as {kept_as})"));
                }
                lines.push(line);
            }
            if segment.damaged_stamps > 0 {
                lines.push(format!(
                    "{} frame stamps of {name} are damaged, nothing is lost, but check the device",
                    segment.damaged_stamps
                ));
            }
        }
        lines
    }

    /// Whether the database was there, and what it holds.
    fn headline(&self) -> String {
        if self.created {
            return "created a new database".into();
        }
        let how = if self.clean_shutdown { "a clean shutdown" } else { "an unclean shutdown" };
        format!(
            "recovered after {how}: {} tables, {} writes replayed from {} log segments \
             ({} records, {} bytes)",
            self.tables,
            self.writes_replayed,
            self.segments.len(),
            self.segments.iter().map(|segment| segment.records).sum::<u64>(),
            self.segments.iter().map(|segment| segment.bytes).sum::<u64>()
        )
    }
}

/// One line, however much there is to tell; with `{:#}` a line for the whole,
/// then one for each finding.
impl fmt::Display for RecoveryReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![self.headline()];
        lines.extend(self.findings());
        if !self.removed.is_empty() {
            let names = first_names(&self.removed);
            lines.push(format!("removed {} leftover files: {names}", self.removed.len()));
        }
        if !self.foreign.is_empty() {
            let names = first_names(&self.foreign);
            lines.push(format!("left {} foreign files alone: {names}", self.foreign.len()));
        }
        formatter.write_str(&lines.join(if formatter.alternate() { "\n  " } else { "; " }))
    }
}

/// The first few of `names`, in one line.
fn first_names(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(", ...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torn() -> RecoveryReport {
        let cut = CutTail {
            offset: 4190,
            bytes: 37,
            kept_as: Some("quarantine/wal_000002.log.4190".into()),
        };
        let first = SegmentReport {
            name: "wal_000001.log".into(),
            id: 1,
            records: 3,
            bytes: 4300,
            damaged_stamps: 2,
            cut: None,
        };
        let last = SegmentReport { name: "wal.log".into(), id: 2, cut: Some(cut), ..first.clone() };
        RecoveryReport {
            manifest: "MANIFEST_000004".into(),
            tables: 5,
            segments: vec![first, SegmentReport { damaged_stamps: 0, ..last }],
            writes_replayed: 6,
            foreign: vec!["notes.txt".into()],
            ..RecoveryReport::default()
        }
    }

    #[test]
    fn each_finding_has_its_line_with_file_offset_length_and_place() {
        let expected = "\
recovered after an unclean shutdown: 5 tables, 6 writes replayed from 2 log segments \
(6 records, 8600 bytes)
  2 frame stamps of wal_000001.log are damaged, nothing is lost, but check the device
  cut 37 bytes of an incomplete write from wal.log at offset 4190 \
(kept as quarantine/wal_000002.log.4190)
  left 1 foreign files alone: notes.txt";
        assert_eq!(format!("{:#}", torn()), expected);
        let one_line = torn().to_string();
        assert_eq!(one_line, expected.replace("\n  ", "; "));
        assert_eq!(torn().findings().len(), 2);
    }
}
