//! The segments of the log on disk: prepared ahead, retired behind, removed
//! once their writes are in tables.
//!
//! The writer only ever swaps file handles. Creating, filling with zeros,
//! renaming and removing happen here, on a background thread:
//!
//! 1. Prepare: create `wal_next.log` with header and zeros, sync it and the
//!    directory, record its id in the manifest. Only then may the writer take
//!    it; recovery misses it if it is gone.
//! 2. Retire: cut the zeros off the old segment, rename `wal.log` to
//!    `wal_000012.log`, sync the directory, then rename `wal_next.log` to
//!    `wal.log`. The sync in between keeps the second rename from replacing
//!    the old segment's only durable name.
//! 3. Remove: after the edit that says "all of it is in tables" is durable.

use std::collections::{BTreeMap, VecDeque};

use kv_core::{FileHeader, FileKind, Result};
use kv_wal::LogWriter;
use parking_lot::Mutex;

use crate::names;
use crate::shared::Shared;

/// A segment ready to take records.
pub(crate) struct PreparedSegment {
    pub(crate) id: u64,
    pub(crate) log: LogWriter,
}

/// What is where.
pub(crate) struct Segments {
    state: Mutex<State>,
}

struct State {
    /// Every segment on disk by id, with its present name.
    names: BTreeMap<u64, String>,
    /// Segments the writer has left, not sealed yet, oldest first.
    retired: VecDeque<(u64, LogWriter)>,
    prepared: Option<PreparedSegment>,
    requested: bool,
}

impl Segments {
    /// Starts with the segments that recovery found or made.
    pub(crate) fn new(names: BTreeMap<u64, String>) -> Segments {
        let state = State { names, retired: VecDeque::new(), prepared: None, requested: false };
        Segments { state: Mutex::new(state) }
    }

    /// Asks the background for the segment after the active one.
    pub(crate) fn request_next(&self) {
        self.state.lock().requested = true;
    }

    /// The prepared segment, if there is one.
    pub(crate) fn take_prepared(&self) -> Option<PreparedSegment> {
        self.state.lock().prepared.take()
    }

    /// True if the writer could take a prepared segment.
    pub(crate) fn has_prepared(&self) -> bool {
        self.state.lock().prepared.is_some()
    }

    /// Hands over a segment that takes no more records and is synced.
    pub(crate) fn retire(&self, id: u64, log: LogWriter) {
        self.state.lock().retired.push_back((id, log));
    }

    /// Number of segments on disk.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().names.len()
    }
}

impl Shared {
    /// Seals and renames what the writer has left; true if there was anything.
    pub(crate) fn seal_retired_segments(&self) -> Result<bool> {
        let mut any = false;
        while let Some((id, mut log)) = { self.segments.state.lock().retired.pop_front() } {
            any = true;
            log.finish()?;
            let sealed = names::sealed_segment(id);
            self.env.fs.rename(names::ACTIVE_SEGMENT, &sealed)?;
            self.env.fs.sync_dir()?;
            self.env.fs.rename(names::NEXT_SEGMENT, names::ACTIVE_SEGMENT)?;
            self.env.fs.sync_dir()?;
            let mut state = self.segments.state.lock();
            state.names.insert(id, sealed);
            if let Some(active) = state.names.get_mut(&(id + 1)) {
                *active = names::ACTIVE_SEGMENT.into();
            }
        }
        Ok(any)
    }

    /// Prepares the next segment if one was asked for; true if it did.
    pub(crate) fn prepare_segment(&self) -> Result<bool> {
        {
            let mut state = self.segments.state.lock();
            if !state.requested || state.prepared.is_some() || !state.retired.is_empty() {
                return Ok(false);
            }
            state.requested = false;
        }
        let id = self.manifest.lock().state().newest_segment + 1;
        let log = self.create_segment(id, names::NEXT_SEGMENT)?;
        self.record_segment(id)?;
        let mut state = self.segments.state.lock();
        state.names.insert(id, names::NEXT_SEGMENT.into());
        state.prepared = Some(PreparedSegment { id, log });
        Ok(true)
    }

    fn create_segment(&self, id: u64, name: &str) -> Result<LogWriter> {
        let header = FileHeader {
            kind: FileKind::Wal,
            database_id: self.manifest.lock().database_id(),
            file_id: id,
            file_uid: self.env.entropy.random_id(),
        };
        let zeros = self.options.memtable_flush_size.segment_bytes();
        let log = LogWriter::create(&*self.env.fs, name, header, zeros)?;
        self.env.fs.sync_dir()?;
        Ok(log)
    }

    /// Removes the segments before `oldest`: the manifest no longer asks for
    /// them. A removal that fails is repeated at the next open.
    pub(crate) fn remove_segments_before(&self, oldest: u64) -> Result<()> {
        loop {
            let name = {
                let state = self.segments.state.lock();
                match state.names.first_key_value() {
                    Some((&id, name)) if id < oldest => name.clone(),
                    _ => return Ok(()),
                }
            };
            self.env.fs.remove(&name)?;
            self.segments.state.lock().names.pop_first();
        }
    }
}
