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

impl fmt::Display for RecoveryReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.created {
            return write!(formatter, "created a new database");
        }
        let how = if self.clean_shutdown { "a clean shutdown" } else { "an unclean shutdown" };
        write!(
            formatter,
            "recovered after {how}: {} tables, {} writes replayed from {} log segments \
             ({} records, {} bytes)",
            self.tables,
            self.writes_replayed,
            self.segments.len(),
            self.segments.iter().map(|segment| segment.records).sum::<u64>(),
            self.segments.iter().map(|segment| segment.bytes).sum::<u64>()
        )?;
        for segment in &self.segments {
            if let Some(cut) = &segment.cut {
                write!(
                    formatter,
                    "; cut {} bytes of an incomplete write from {} at offset {}",
                    cut.bytes, segment.name, cut.offset
                )?;
                if let Some(kept_as) = &cut.kept_as {
                    write!(formatter, " (kept as {kept_as})")?;
                }
            }
        }
        let stamps: u64 = self.segments.iter().map(|segment| segment.damaged_stamps).sum();
        if stamps > 0 {
            write!(
                formatter,
                "; {stamps} frame stamps of the log are damaged, nothing is lost, \
                 but check the device"
            )?;
        }
        if !self.removed.is_empty() {
            let names = first_names(&self.removed);
            write!(formatter, "; removed {} leftover files: {names}", self.removed.len())?;
        }
        if !self.foreign.is_empty() {
            let names = first_names(&self.foreign);
            write!(formatter, "; left {} foreign files alone: {names}", self.foreign.len())?;
        }
        Ok(())
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
