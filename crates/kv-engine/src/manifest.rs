//! The manifest: a log of version edits, the memory of what the tree is.
//!
//! A manifest begins with a snapshot of the whole state, all that follows are edits.
//! Either is one record, or several where it is long, and counts once all of them
//! are there. A new manifest is complete and durable before its predecessor
//! is removed, and takes no edit before that removal is durable; so wherever
//! two are found the older one, unless it is damaged, is as good as the newer. One
//! that was found damaged while it was in use is moved to the quarantine instead.

use std::collections::BTreeMap;
use std::sync::Arc;

use kv_compaction::{Version, VersionEdit};
use kv_core::{DatabaseId, FileHeader, FileKind, Result, SeqNo};
use kv_env::Env;
use kv_wal::LogWriter;

use crate::live_table::LiveTable;
use crate::names;
use crate::quarantine;
use crate::scrub::ScrubPlace;
use crate::space::discard;

/// Zeros written ahead into a new manifest: within them a torn edit can be told
/// from a damaged one. Enough for some hundred edits.
pub(crate) const PREWRITTEN_BYTES: u64 = 64 << 10;

/// File ids are reserved in the manifest this many at a time, so that an
/// unfinished table found at open is known to be ours by its number.
pub(crate) const FILE_ID_RESERVE: u64 = 64;

/// What the manifest knows besides the tables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ManifestState {
    /// Every write up to this number is in the tables.
    pub(crate) flushed_through: SeqNo,
    /// The first segment with writes that are in no table.
    pub(crate) oldest_segment: u64,
    /// The last segment that may hold a record.
    pub(crate) newest_segment: u64,
    /// The random identities of the segments in between.
    pub(crate) segment_uids: BTreeMap<u64, [u8; 16]>,
    /// Where those end, in bytes of the file, that a recovery found unfinished.
    pub(crate) segment_ends: BTreeMap<u64, u64>,
    /// No file of ours has this id or a higher one.
    pub(crate) next_file_id: u64,
    /// Where the scrub is.
    pub(crate) scrub: ScrubPlace,
}

impl ManifestState {
    /// Takes over what `edit` says.
    pub(crate) fn apply(&mut self, edit: &VersionEdit) {
        if let Some(seqno) = edit.flushed_through {
            self.flushed_through = seqno;
        }
        if let Some(segment) = edit.newest_segment {
            self.newest_segment = segment;
        }
        self.segment_uids.extend(edit.segment_uids.iter().copied());
        self.segment_ends.extend(edit.segment_ends.iter().copied());
        if let Some(segment) = edit.oldest_segment {
            self.forget_segments_before(segment);
        }
        if let Some(id) = edit.next_file_id {
            self.next_file_id = id;
        }
        if let Some(place) = ScrubPlace::of_edit(edit) {
            self.scrub = place;
        }
    }
}

impl ManifestState {
    /// The log starts with segment `oldest` from now on.
    pub(crate) fn forget_segments_before(&mut self, oldest: u64) {
        self.oldest_segment = oldest;
        self.segment_uids = self.segment_uids.split_off(&oldest);
        self.segment_ends = self.segment_ends.split_off(&oldest);
    }
}

/// What became of a manifest that a fresh one has replaced.
pub(crate) struct Replacement {
    pub(crate) was_damaged: bool,
    /// Where a damaged one is kept, if it was there at all.
    pub(crate) kept_as: Option<String>,
}

/// The open manifest. Its mutex serialises installs.
pub(crate) struct Manifest {
    id: u64,
    header: FileHeader,
    log: LogWriter,
    /// Where the snapshot ends and the edits begin, in bytes of the file.
    snapshot_end: u64,
    /// Bytes on the disk are not those that were written.
    is_damaged: bool,
    /// A successor was begun that found no space, and that could not be removed.
    has_leftover: bool,
    state: ManifestState,
    version: Arc<Version<LiveTable>>,
}

impl Manifest {
    /// Writes manifest `id` with the whole state and makes it durable. The
    /// caller removes the predecessor before it installs anything.
    pub(crate) fn create(
        env: &Env,
        id: u64,
        database_id: DatabaseId,
        state: ManifestState,
        version: Arc<Version<LiveTable>>,
    ) -> Result<Manifest> {
        let mut manifest = Manifest::begin(env, id, database_id, state, version)?;
        manifest.complete(env)?;
        Ok(manifest)
    }

    /// Creates the file with room for its snapshot. Without all of that it counts
    /// for nothing, and an error removes it.
    fn begin(
        env: &Env,
        id: u64,
        database_id: DatabaseId,
        state: ManifestState,
        version: Arc<Version<LiveTable>>,
    ) -> Result<Manifest> {
        let header = FileHeader {
            kind: FileKind::Manifest,
            database_id,
            file_id: id,
            file_uid: env.entropy.random_id(),
        };
        let name = names::manifest(id);
        let created = LogWriter::create(&*env.fs, &name, header, PREWRITTEN_BYTES);
        let begun = created.and_then(|log| {
            let mut manifest = Manifest {
                id,
                header,
                log,
                snapshot_end: 0,
                is_damaged: false,
                has_leftover: false,
                state,
                version,
            };
            manifest.make_room(&manifest.snapshot())?;
            Ok(manifest)
        });
        // If the removal fails too, the next open does it.
        begun.inspect_err(|_| drop(env.fs.remove(&name)))
    }

    fn complete(&mut self, env: &Env) -> Result<()> {
        self.append(&self.snapshot())?;
        self.snapshot_end = self.log.file_bytes();
        env.fs.sync_dir()
    }

    pub(crate) fn database_id(&self) -> DatabaseId {
        self.header.database_id
    }

    pub(crate) fn header(&self) -> FileHeader {
        self.header
    }

    /// The length of the file up to which it is durable: all of it but zeros,
    /// outside of an append.
    pub(crate) fn durable_bytes(&self) -> u64 {
        self.log.file_bytes()
    }

    pub(crate) fn state(&self) -> &ManifestState {
        &self.state
    }

    pub(crate) fn version(&self) -> &Arc<Version<LiveTable>> {
        &self.version
    }

    /// Makes sure that `edit` can be appended on a full disk.
    ///
    /// # Errors
    /// Out of space or resources: nothing has changed.
    pub(crate) fn make_room(&mut self, edit: &VersionEdit) -> Result<()> {
        let (mut records, mut bytes) = (0, 0);
        for record in edit.records() {
            // The size of a record does not depend on where it stands.
            bytes += record.encode(self.header.seed(), 0)?.len();
            records += 1;
        }
        self.log.reserve(records, bytes)
    }

    /// Makes `edit` durable; `version` is what it leads to.
    pub(crate) fn commit(
        &mut self,
        edit: &VersionEdit,
        version: Arc<Version<LiveTable>>,
    ) -> Result<()> {
        self.append(edit)?;
        self.state.apply(edit);
        self.version = version;
        Ok(())
    }

    /// True from [`note_damage`](Manifest::note_damage) on.
    pub(crate) fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// Notes that the file is damaged: what memory knows is the only whole copy.
    pub(crate) fn note_damage(&mut self) {
        self.is_damaged = true;
    }

    /// Replaces the file by a snapshot if it is damaged, or once the edits behind the
    /// one that it began with are more than `edit_bytes`, and more than that one is
    /// beyond what was prewritten: a large one is written again when the file has about
    /// doubled, and not every few edits. On a full disk, without a file descriptor or
    /// memory, or a place to keep a damaged one, a replacement has to wait: `None`.
    ///
    /// # Errors
    /// Any error leaves it open which of the two files counts.
    pub(crate) fn rotate_if_due(
        &mut self,
        env: &Env,
        edit_bytes: u64,
    ) -> Result<Option<Replacement>> {
        let large_part = self.snapshot_end.saturating_sub(PREWRITTEN_BYTES);
        let is_long = self.log.file_bytes() - self.snapshot_end > edit_bytes.max(large_part);
        if !is_long && !self.is_damaged {
            return Ok(None);
        }
        if self.is_damaged && env.fs.create_dir(names::QUARANTINE).is_err() {
            return Ok(None);
        }
        let next_name = names::manifest(self.id + 1);
        if self.has_leftover && !discard(&*env.fs, &next_name) {
            return Ok(None);
        }
        self.has_leftover = false;
        let version = Arc::clone(&self.version);
        let (database_id, state) = (self.header.database_id, self.state.clone());
        let mut next = match Manifest::begin(env, self.id + 1, database_id, state, version) {
            Err(error) if error.is_out_of_space() || error.is_out_of_resources() => {
                // Else it would be in the way of the next attempt.
                self.has_leftover = !discard(&*env.fs, &next_name);
                return Ok(None);
            }
            outcome => outcome?,
        };
        next.complete(env)?;
        let old = std::mem::replace(self, next);
        let name = names::manifest(old.id);
        let kept_as = match old.is_damaged {
            true => quarantine::set_aside(&*env.fs, &name)?,
            false => env.fs.remove(&name).map(|()| None)?,
        };
        env.fs.sync_dir()?;
        Ok(Some(Replacement { was_damaged: old.is_damaged, kept_as }))
    }

    /// Ends the file with a mark that nothing is missing. `next_file_id` is
    /// exact from now on: nothing is reserved any more.
    pub(crate) fn finish(&mut self, next_file_id: u64, scrub: ScrubPlace) -> Result<()> {
        let last = VersionEdit {
            next_file_id: Some(next_file_id),
            properties: scrub.properties(),
            ..VersionEdit::default()
        };
        self.make_room(&last)?;
        self.append(&last)?;
        self.log.finish()
    }

    fn append(&mut self, edit: &VersionEdit) -> Result<()> {
        for record in edit.records() {
            let payload = record.encode(self.header.seed(), self.log.end().0)?;
            self.log.append(&payload)?;
        }
        self.log.sync()
    }

    fn snapshot(&self) -> VersionEdit {
        VersionEdit {
            database: Some(self.header.database_id),
            flushed_through: Some(self.state.flushed_through),
            oldest_segment: Some(self.state.oldest_segment),
            newest_segment: Some(self.state.newest_segment),
            segment_uids: self.state.segment_uids.iter().map(|(&id, &uid)| (id, uid)).collect(),
            segment_ends: self.state.segment_ends.iter().map(|(&id, &end)| (id, end)).collect(),
            next_file_id: Some(self.state.next_file_id),
            properties: self.state.scrub.properties(),
            ..self.version.as_edit()
        }
    }
}
