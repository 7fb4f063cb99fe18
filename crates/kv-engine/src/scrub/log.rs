//! The logs of a pass: the manifest in use and sealed segments.

use std::sync::Arc;

use kv_core::{FileHeader, FileKind, Result};
use kv_sstable::DamagedPart;
use kv_wal::LogScrub;

use crate::lenient::{self, LenientFile};
use crate::names;
use crate::shared::Shared;

/// A log to be scrubbed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Log {
    Manifest,
    Segment(u64),
}

/// A log as it is on disk at the moment.
struct Found {
    name: String,
    header: FileHeader,
    /// Length of its durable part; `None` for one that ends with its mark.
    durable_bytes: Option<u64>,
}

/// A log that is being read.
pub(super) struct OpenLog {
    name: String,
    header: FileHeader,
    file: Arc<LenientFile>,
    scrub: LogScrub,
    is_damaged: bool,
}

impl Shared {
    /// The logs that are complete or durable now, in the order in which they
    /// are to be taken from the end.
    pub(super) fn logs_to_scrub(&self) -> Vec<Log> {
        let segments = self.segments.sealed();
        segments.into_iter().rev().map(Log::Segment).chain([Log::Manifest]).collect()
    }

    /// Opens a log; `None` if it is gone, as it may be at any time.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub(super) fn open_log(&self, log: Log) -> Result<Option<OpenLog>> {
        // A manifest is replaced by its successor at most once meanwhile: it
        // takes thousands of edits to grow so long.
        for _ in 0..2 {
            let Some(found) = self.find_log(log) else { return Ok(None) };
            match lenient::open(&*self.env.fs, &found.name) {
                Ok(file) => return Ok(Some(OpenLog::new(found, file))),
                Err(error) if error.is_out_of_resources() => return Err(error),
                Err(error) => {
                    let is_there = self.find_log(log).is_some_and(|now| now.name == found.name);
                    if is_there {
                        let what = format!("the file cannot be read: {error}");
                        let bytes = found.durable_bytes.unwrap_or_default();
                        let part = DamagedPart { offset: 0, bytes, what };
                        self.scrub.note_log((found.header.kind, &found.name), part);
                        self.mend(found.header);
                        return Ok(None);
                    }
                }
            }
        }
        Ok(None)
    }

    fn find_log(&self, log: Log) -> Option<Found> {
        let manifest = self.manifest.lock();
        match log {
            Log::Manifest => Some(Found {
                name: names::manifest(manifest.header().file_id),
                header: manifest.header(),
                durable_bytes: Some(manifest.durable_bytes()),
            }),
            Log::Segment(id) => {
                let file_uid = *manifest.state().segment_uids.get(&id)?;
                let database_id = manifest.database_id();
                Some(Found {
                    name: names::sealed_segment(id),
                    header: FileHeader { kind: FileKind::Wal, database_id, file_id: id, file_uid },
                    durable_bytes: manifest.state().segment_ends.get(&id).copied(),
                })
            }
        }
    }

    /// Reads `budget` bytes of `log`; says how many, and whether it has ended.
    ///
    /// # Errors
    /// Out of memory: that says nothing of the file, and the next call goes on
    /// there.
    pub(super) fn scrub_log(&self, log: &mut OpenLog, budget: u64) -> Result<(u64, bool)> {
        let (from, mut damage) = (log.scrub.file_offset(), Vec::new());
        let outcome = log.scrub.step(budget, &mut damage);
        let gaps = damage.into_iter();
        let mut parts: Vec<DamagedPart> = gaps
            .map(|gap| DamagedPart {
                offset: gap.file_offset,
                bytes: gap.bytes,
                what: gap.what.into(),
            })
            .collect();
        let mut lack = None;
        let (bytes, is_at_end) = match outcome {
            Ok(progress) => (progress.bytes, progress.is_at_end),
            Err(error) if error.is_out_of_resources() => {
                lack = Some(error);
                (0, false)
            }
            Err(error) => {
                let what = format!("the file cannot be read: {error}");
                parts.push(DamagedPart { offset: from, bytes: 0, what });
                (0, true)
            }
        };
        if is_at_end {
            let unreadable = log.file.unreadable().into_iter();
            parts.extend(unreadable.map(|range| DamagedPart {
                offset: range.start,
                bytes: range.end - range.start,
                what: "the device cannot read this part".into(),
            }));
        }
        log.is_damaged |= !parts.is_empty();
        for part in parts {
            self.scrub.note_log((log.header.kind, &log.name), part);
        }
        if is_at_end && log.is_damaged {
            self.mend(log.header);
        }
        lack.map_or(Ok((bytes, is_at_end)), Err)
    }

    /// Mends what can be: a manifest is written anew.
    fn mend(&self, damaged: FileHeader) {
        if damaged.kind == FileKind::Manifest {
            // A failure has ended writing, which everybody is told.
            let _ = self.replace_damaged_manifest(damaged.file_id);
        }
    }
}

impl OpenLog {
    fn new(found: Found, file: Arc<LenientFile>) -> OpenLog {
        let Found { name, header, durable_bytes } = found;
        let source = Arc::clone(&file) as Arc<dyn kv_env::ReadFile>;
        let scrub = LogScrub::new(source, &name, header, durable_bytes);
        OpenLog { name, header, file, scrub, is_damaged: false }
    }
}
