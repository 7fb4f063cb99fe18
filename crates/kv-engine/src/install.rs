//! Installing an edit: the moment a flush or a compaction becomes real.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use kv_compaction::{TableRef, VersionEdit};
use kv_core::{Result, SeqNo};

use crate::live_table::LiveTable;
use crate::manifest::{Manifest, Replacement};
use crate::names;
use crate::scrub::ScrubPlace;
use crate::shared::Shared;
use crate::view::View;

impl Shared {
    /// Makes `edit` durable and visible.
    ///
    /// 1. Make room for the edit in the manifest; without it nothing has happened
    ///    but that the new tables are removed again.
    /// 2. Sync the directory: the new tables' names are durable before the
    ///    manifest names them. (Their content was synced when they were sealed.)
    /// 3. Open the new tables and apply the edit; an impossible one stops here.
    /// 4. Append the edit to the manifest and sync it. A failure poisons the
    ///    engine and removes nothing: the edit may be durable all the same.
    /// 5. Swap the view; readers see the new version from here on.
    /// 6. Mark the tables that the edit removed. Each goes when its last
    ///    reader does.
    pub(crate) fn install(&self, edit: &VersionEdit) -> Result<()> {
        let guard = self.poison_on_panic("an edit of the manifest");
        self.install_in(&mut guard.holding(self.manifest.lock()), edit)
    }

    /// The same for who holds the manifest already.
    pub(crate) fn install_in(&self, manifest: &mut Manifest, edit: &VersionEdit) -> Result<()> {
        self.poison.check()?;
        let edit = &self.with_scrub_place(edit, manifest.state().scrub);
        let old = Arc::clone(manifest.version());
        let known: HashMap<u64, &Arc<LiveTable>> =
            old.tables().map(|(_, live)| (live.meta().id, live)).collect();
        if let Err(error) = self.with_reserve(|| manifest.make_room(edit)) {
            self.discard_tables(edit, &known);
            return Err(error);
        }
        self.sync_directory()?;
        let database_id = manifest.database_id();
        let new = old.apply(edit, |meta| match known.get(&meta.id) {
            Some(live) => Ok(Arc::clone(live)),
            None => self.tables.open(meta, database_id),
        });
        let new = new.inspect_err(|error| {
            if error.is_out_of_resources() {
                self.discard_tables(edit, &known);
            }
        })?;
        let new = Arc::new(new);
        if let Err(error) = manifest.commit(edit, Arc::clone(&new)) {
            return Err(self.poison(format!("cannot write the manifest: {error}")));
        }
        let flushed_through = manifest.state().flushed_through;
        self.change_view(|view| view_after(view, new, flushed_through));
        for live in edit.obsolete_ids().filter_map(|id| known.get(&id)) {
            live.mark_obsolete();
        }
        self.rotate_manifest(manifest)
    }

    /// Has a fresh manifest take the place of one that is too long or damaged.
    pub(crate) fn rotate_manifest(&self, manifest: &mut Manifest) -> Result<()> {
        let name = names::manifest(manifest.header().file_id);
        let replacement = self.alone_with_directory("cannot replace the manifest", || {
            manifest.rotate_if_due(&self.env, self.options.manifest_edit_bytes)
        })?;
        if let Some(Replacement { was_damaged: true, kept_as }) = replacement {
            self.counters.manifests_replaced.fetch_add(1, Relaxed);
            self.scrub.note_replaced(&name, kept_as.as_deref());
        }
        Ok(())
    }

    /// Replaces manifest `id`, of which the scrub has found parts damaged, unless
    /// it is replaced already: memory knows what it said, and the next open would
    /// refuse it. Where there is no space, descriptor or memory for that, or no
    /// place to keep the old one, the next edit tries again, and a close.
    pub(crate) fn replace_damaged_manifest(&self, id: u64) -> Result<()> {
        let guard = self.poison_on_panic("a replacement of the manifest");
        let mut manifest = guard.holding(self.manifest.lock());
        self.poison.check()?;
        if manifest.header().file_id != id {
            return Ok(());
        }
        manifest.note_damage();
        self.rotate_manifest(&mut manifest)
    }

    /// `edit`, with the place of the scrub unless that is `known`.
    fn with_scrub_place(&self, edit: &VersionEdit, known: ScrubPlace) -> VersionEdit {
        let (mut edit, place) = (edit.clone(), self.scrub.place());
        if place != known {
            edit.properties.extend(place.properties());
        }
        edit
    }

    /// Records that segment `id` exists, before it takes its first record.
    pub(crate) fn record_segment(&self, id: u64, uid: [u8; 16]) -> Result<()> {
        self.install(&opened_segment(id, uid))
    }

    /// Removes the files of tables that `edit` cannot bring in. One that cannot
    /// be removed is an orphan, which the next open removes.
    fn discard_tables(&self, edit: &VersionEdit, known: &HashMap<u64, &Arc<LiveTable>>) {
        let new = edit.added.iter().filter(|(_, meta)| !known.contains_key(&meta.id));
        for (_, meta) in new {
            let _ = self.env.fs.remove(&meta.file_name());
        }
    }
}

/// The edit that makes a new segment known.
pub(crate) fn opened_segment(id: u64, uid: [u8; 16]) -> VersionEdit {
    VersionEdit {
        newest_segment: Some(id),
        segment_uids: vec![(id, uid)],
        ..VersionEdit::default()
    }
}

/// The view with another version, without the memory tables that are in it.
fn view_after(
    view: &View,
    version: Arc<kv_compaction::Version<LiveTable>>,
    flushed_through: SeqNo,
) -> View {
    View {
        active: Arc::clone(&view.active),
        frozen: view
            .frozen
            .iter()
            .filter(|frozen| frozen.last_seqno > flushed_through)
            .cloned()
            .collect(),
        version,
        flushed_through,
    }
}
