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

use kv_core::{Error, FileHeader, FileKind, Result};
use kv_wal::LogWriter;

use crate::names;
use crate::primitives::Mutex;
use crate::shared::Shared;
use crate::space::{SMALL_SEGMENT_BYTES, discard};

/// A segment ready to take records.
pub(crate) struct PreparedSegment {
    pub(crate) id: u64,
    pub(crate) log: LogWriter,
}

/// A segment on its way from the active name to its own. Each step is taken
/// once, however often a full disk interrupts them.
struct Retired {
    id: u64,
    log: LogWriter,
    next_step: SealStep,
}

#[derive(PartialEq, Eq)]
enum SealStep {
    Finish,
    GiveItsName,
    PromoteNext,
}

/// What is where.
pub(crate) struct Segments {
    state: Mutex<State>,
}

struct State {
    /// Every segment on disk by id, with its present name.
    names: BTreeMap<u64, String>,
    /// Segments the writer has left, not sealed yet, oldest first.
    retired: VecDeque<Retired>,
    prepared: Option<PreparedSegment>,
    requested: bool,
    /// An attempt to prepare one found no space, and neither could its file be
    /// removed, which would be in the way of the next attempt.
    has_leftover: bool,
}

impl State {
    /// True from the creation of a segment until it has become the active one,
    /// whoever holds it meanwhile.
    fn next_name_is_taken(&self) -> bool {
        self.names.values().any(|name| name == names::NEXT_SEGMENT)
    }
}

impl Segments {
    /// Starts with the segments that recovery found or made.
    pub(crate) fn new(names: BTreeMap<u64, String>) -> Segments {
        let (retired, prepared) = (VecDeque::new(), None);
        let state = State { names, retired, prepared, requested: false, has_leftover: false };
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
        let retired = Retired { id, log, next_step: SealStep::Finish };
        self.state.lock().retired.push_back(retired);
    }

    /// Ids of the segments that are final and have their own names.
    pub(crate) fn sealed(&self) -> Vec<u64> {
        let state = self.state.lock();
        let segments = state.names.iter();
        segments
            .filter(|&(&id, name)| *name == names::sealed_segment(id))
            .map(|(&id, _)| id)
            .collect()
    }

    /// Number of segments on disk.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().names.len()
    }
}

impl Shared {
    /// Of what fails in a log only want of space is waited for.
    pub(crate) fn end_of_log_failed(&self, error: Error) -> Error {
        match error.is_out_of_space() {
            true => error,
            false => self.poison(format!("cannot end a segment of the log: {error}")),
        }
    }

    /// Seals and renames what the writer has left; true if there was anything.
    pub(crate) fn seal_retired_segments(&self) -> Result<bool> {
        let mut any = false;
        while let Some(mut retired) = { self.segments.state.lock().retired.pop_front() } {
            any = true;
            if let Err(error) = self.seal(&mut retired) {
                self.segments.state.lock().retired.push_front(retired);
                return Err(error);
            }
        }
        Ok(any)
    }

    fn seal(&self, retired: &mut Retired) -> Result<()> {
        let sealed = names::sealed_segment(retired.id);
        if retired.next_step == SealStep::Finish {
            retired.log.finish().map_err(|error| self.end_of_log_failed(error))?;
            retired.next_step = SealStep::GiveItsName;
        }
        if retired.next_step == SealStep::GiveItsName {
            self.env.fs.rename(names::ACTIVE_SEGMENT, &sealed)?;
            self.sync_directory()?;
            self.segments.state.lock().names.insert(retired.id, sealed);
            retired.next_step = SealStep::PromoteNext;
        }
        self.env.fs.rename(names::NEXT_SEGMENT, names::ACTIVE_SEGMENT)?;
        self.sync_directory()?;
        let next = retired.id + 1;
        self.segments.state.lock().names.insert(next, names::ACTIVE_SEGMENT.into());
        Ok(())
    }

    /// Prepares the next segment if one was asked for; true if it did.
    ///
    /// # Errors
    /// Out of space or resources: it is still asked for, and nothing of it is
    /// left behind.
    pub(crate) fn prepare_segment(&self) -> Result<bool> {
        {
            let state = self.segments.state.lock();
            if !state.requested || state.next_name_is_taken() {
                return Ok(false);
            }
        }
        self.clear_next_name()?;
        let id = self.manifest.lock().state().newest_segment + 1;
        let uid = self.env.entropy.random_id();
        let log = self.create_segment(id, uid, names::NEXT_SEGMENT).and_then(|log| {
            self.record_segment(id, uid)?;
            Ok(log)
        });
        let log = log.inspect_err(|error| {
            if error.is_out_of_space() || error.is_out_of_resources() {
                let is_gone = discard(&*self.env.fs, names::NEXT_SEGMENT);
                self.segments.state.lock().has_leftover = !is_gone;
            }
        })?;
        let mut state = self.segments.state.lock();
        state.requested = false;
        state.names.insert(id, names::NEXT_SEGMENT.into());
        state.prepared = Some(PreparedSegment { id, log });
        Ok(true)
    }

    /// Removes what the last attempt could not remove.
    fn clear_next_name(&self) -> Result<()> {
        if !self.segments.state.lock().has_leftover {
            return Ok(());
        }
        if !discard(&*self.env.fs, names::NEXT_SEGMENT) {
            // It was want of space that left it: waited for like any other.
            return Err(self.no_space());
        }
        self.segments.state.lock().has_leftover = false;
        Ok(())
    }

    fn create_segment(&self, id: u64, uid: [u8; 16], name: &str) -> Result<LogWriter> {
        let header = FileHeader {
            kind: FileKind::Wal,
            database_id: self.manifest.lock().database_id(),
            file_id: id,
            file_uid: uid,
        };
        let zeros = match self.space.is_full() {
            true => SMALL_SEGMENT_BYTES,
            false => self.options.memtable_flush_size.segment_bytes(),
        };
        let log = LogWriter::create(&*self.env.fs, name, header, zeros)?;
        self.sync_directory()?;
        Ok(log)
    }

    /// Removes the segments before `oldest`: the manifest no longer asks for
    /// them. A removal that fails ends writing; the next open repeats it.
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

#[cfg(test)]
mod tests {
    use kv_core::WriteBatch;
    use kv_env::SimDisk;

    use super::*;
    use crate::options::{Background, Durability, FlushSize, Options};
    use crate::recovery::recover;

    fn write(shared: &Shared, count: u8) {
        for number in 0..count {
            let mut batch = WriteBatch::new();
            batch.put(&[number], b"value").unwrap();
            shared.write(batch, Durability::Sync).unwrap();
        }
    }

    /// The background seals before it prepares. Between the two the writer may
    /// take the prepared segment and ask for another one, which then has to wait:
    /// the file of that name holds records.
    #[test]
    fn the_next_name_is_free_again_only_once_its_segment_is_the_active_one() {
        let disk = SimDisk::new(1);
        let options = Options {
            memtable_flush_size: FlushSize::Entries(8),
            background: Background::Manual,
            ..Options::default()
        };
        let shared = recover(disk.env(), options).unwrap();
        write(&shared, 8 + 3);
        assert!(shared.segments.state.lock().requested);
        let with_records = disk.read_file(names::NEXT_SEGMENT).unwrap();
        assert!(!shared.prepare_segment().unwrap());
        assert_eq!(disk.read_file(names::NEXT_SEGMENT).unwrap(), with_records);
        assert!(shared.seal_retired_segments().unwrap());
        assert_eq!(disk.read_file(names::ACTIVE_SEGMENT).unwrap(), with_records);
        assert!(shared.prepare_segment().unwrap());
        assert_ne!(disk.read_file(names::NEXT_SEGMENT).unwrap(), with_records);
    }
}
