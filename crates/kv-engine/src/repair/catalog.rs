//! What the manifest still tells: tables, how far they reach, the log's files.
//!
//! 1. A manifest that an open would accept is believed.
//! 2. Else every edit that is intact counts, also behind damage: an edit names
//!    what it adds and removes, so one that is lost only leaves in doubt the
//!    tables that it named. Of an edit that has lost some of its records, and may
//!    never have happened, only what it adds counts. They are those of the newest
//!    manifest that shows itself to have been finished, if there is one.
//! 3. A table that no edit names may have been added by a lost one. It is used
//!    unless the manifest is whole or says that the table was removed.

use std::collections::{BTreeMap, BTreeSet};

use kv_compaction::{TableMeta, VersionEdit};
use kv_core::{DatabaseId, FileKind, Result};
use kv_env::{Env, Fs};
use kv_wal::{SalvageReader, Salvaged};

use crate::inspect::read_manifest_edits;
use crate::lenient::{self, FoundHeader};
use crate::manifest::ManifestState as Numbers;
use crate::manifest_load::{Listing, LoadedManifest, load_manifest};
use crate::manifest_reader::decode_edit;
use crate::names;
use crate::repair::report::{
    DamagedRange, FileUse, ManifestState, RepairReport, RepairedFile, RepairedKind,
};

/// What is known of the tree and the log without looking into them.
#[derive(Default)]
pub(crate) struct Catalog {
    pub(crate) state: ManifestState,
    /// Name of the manifest that it is from; empty without one.
    pub(crate) manifest: String,
    pub(crate) database_id: Option<DatabaseId>,
    pub(crate) numbers: Numbers,
    /// True if the database was closed properly: the log has its end mark.
    pub(super) is_clean: bool,
    /// Tables that belong to the tree, by id.
    pub(crate) tables: BTreeMap<u64, TableMeta>,
    /// Tables that belonged to it once.
    pub(crate) removed: BTreeSet<u64>,
}

impl Catalog {
    /// Reads the manifests of `env`.
    pub(super) fn read(env: &Env, listing: &Listing, report: &mut RepairReport) -> Result<Catalog> {
        let catalog = match load_manifest(env, listing) {
            Ok(Some(loaded)) => Catalog::of_whole(&*env.fs, loaded, listing, report)?,
            Ok(None) => Catalog::salvage(&*env.fs, listing, "", report)?,
            Err(error) => Catalog::salvage(&*env.fs, listing, &error.to_string(), report)?,
        };
        Ok(catalog)
    }

    fn of_whole(
        fs: &dyn Fs,
        loaded: LoadedManifest,
        listing: &Listing,
        report: &mut RepairReport,
    ) -> Result<Catalog> {
        let tables = loaded.version.tables().map(|(_, meta)| (meta.id, TableMeta::clone(meta)));
        let tables: BTreeMap<u64, TableMeta> = tables.collect();
        for &id in &listing.manifests {
            let name = names::manifest(id);
            let is_used = name == loaded.name;
            let bytes = fs.open(&name)?.len();
            let edits = read_manifest_edits(fs, &name).map_or(0, |edits| edits.len());
            report.files.push(RepairedFile {
                records: edits as u64,
                used: if is_used { FileUse::Used } else { FileUse::NotNeeded },
                entries: if is_used { tables.len() as u64 } else { 0 },
                ..manifest_file(name, bytes)
            });
        }
        Ok(Catalog {
            state: ManifestState::Whole,
            manifest: loaded.name,
            database_id: Some(loaded.database_id),
            numbers: loaded.state,
            is_clean: loaded.clean,
            tables,
            removed: BTreeSet::new(),
        })
    }

    /// The edits of the newest manifest that was finished, else of the newest that
    /// has any; without a reason `why` a whole one would not do, the caller tells it.
    pub(crate) fn salvage(
        fs: &dyn Fs,
        listing: &Listing,
        why: &str,
        report: &mut RepairReport,
    ) -> Result<Catalog> {
        let mut descending = listing.manifests.clone();
        descending.sort_unstable_by(|a, b| b.cmp(a));
        let manifests = descending.into_iter().map(|id| salvage_edits(fs, &names::manifest(id)));
        let mut manifests = manifests.collect::<Result<Vec<SalvagedEdits>>>()?;
        let finished = manifests.iter().position(|manifest| manifest.was_finished);
        let has_edits = |manifest: &SalvagedEdits| !manifest.edits.is_empty();
        let chosen = finished.or_else(|| manifests.iter().position(has_edits));
        let mut catalog = Catalog::default();
        if let Some(manifest) = chosen.map(|index| &mut manifests[index]) {
            catalog.database_id = manifest.database_id;
            catalog.state = ManifestState::Partial;
            catalog.manifest.clone_from(&manifest.file.name);
            manifest.edits.iter().for_each(|edit| catalog.apply(edit));
            manifest.file.entries = catalog.tables.len() as u64;
        }
        report.files.extend(manifests.into_iter().map(|manifest| manifest.file));
        if listing.manifests.is_empty() {
            let missing = manifest_file("MANIFEST_??????".into(), 0);
            report.files.push(RepairedFile { used: FileUse::Missing, ..missing });
        } else if !why.is_empty() {
            report.warnings.push(format!("the manifest cannot be used as it is: {why}"));
        }
        report.warnings.push(
            "without a whole manifest nobody knows whether a table is missing or was replaced: \
             deleted keys and older values may have come back"
                .into(),
        );
        Ok(catalog)
    }

    /// As far as it goes: an edit in between may be missing.
    fn apply(&mut self, edit: &VersionEdit) {
        for (_, id) in &edit.removed {
            self.tables.remove(id);
            self.removed.insert(*id);
        }
        for (_, meta) in &edit.added {
            self.removed.remove(&meta.id);
            self.tables.insert(meta.id, meta.clone());
        }
        self.numbers.apply(edit);
    }
}

struct SalvagedEdits {
    file: RepairedFile,
    database_id: Option<DatabaseId>,
    edits: Vec<VersionEdit>,
    /// Its snapshot is there from its start or, as without that none is taken, a
    /// later edit.
    was_finished: bool,
    has_gap: bool,
    /// Records of an edit whose last one was not read yet.
    begun: Vec<VersionEdit>,
}

impl SalvagedEdits {
    /// Takes the next intact record.
    fn add(&mut self, record: VersionEdit) {
        let left = record.records_left();
        let before = self.begun.last().map(VersionEdit::records_left);
        if before.is_some_and(|before| left.checked_add(1) != Some(before)) {
            self.give_up_begun();
        }
        let is_later = record.database.is_none();
        self.begun.push(record);
        if left == 0 {
            self.edits.append(&mut self.begun);
        }
        self.was_finished |= is_later || (left == 0 && !self.has_gap);
    }

    /// Something is lost here.
    fn note_gap(&mut self) {
        self.has_gap = true;
        self.give_up_begun();
    }

    /// The edit that was begun has lost its end. What a part of a snapshot says is
    /// true all the same.
    fn give_up_begun(&mut self) {
        let only_added = |record: VersionEdit| match record.database {
            Some(_) => record,
            None => VersionEdit { added: record.added, ..VersionEdit::default() },
        };
        self.edits.extend(self.begun.drain(..).map(only_added));
    }
}

fn salvage_edits(fs: &dyn Fs, name: &str) -> Result<SalvagedEdits> {
    let file = lenient::open(fs, name)?;
    let bytes = kv_env::ReadFile::len(&*file);
    let mut found = SalvagedEdits {
        file: manifest_file(name.into(), bytes),
        database_id: None,
        edits: Vec::new(),
        was_finished: false,
        has_gap: false,
        begun: Vec::new(),
    };
    let header = lenient::read_header(&*file, FileKind::Manifest, name)?;
    if !matches!(header, FoundHeader::Intact(_)) {
        let reason = "the header of the file is damaged";
        found.file.damage.push(DamagedRange::new(0, bytes.min(4096), reason, false));
    }
    let Some(header) = header.header() else {
        found.file.used = FileUse::Unreadable;
        return Ok(found);
    };
    found.database_id = Some(header.database_id);
    let mut reader = SalvageReader::new(file, name, header)?;
    while let Some(part) = reader.next_part()? {
        let (offset, bytes, reason) = match part {
            Salvaged::Gap(gap) => (gap.file_offset, gap.bytes, gap.what.into()),
            Salvaged::Record(record) => {
                let offset = record.file_offset;
                match decode_edit(&record, header.seed(), name) {
                    Ok(edit) => {
                        found.file.records += 1;
                        found.add(edit);
                        continue;
                    }
                    Err(error) => (offset, record.file_end() - offset, error.to_string()),
                }
            }
        };
        found.note_gap();
        found.file.damage.push(DamagedRange::new(offset, bytes, reason, true));
    }
    found.give_up_begun();
    Ok(found)
}

fn manifest_file(name: String, bytes: u64) -> RepairedFile {
    RepairedFile::new(name, RepairedKind::Manifest, FileUse::Used, bytes)
}
