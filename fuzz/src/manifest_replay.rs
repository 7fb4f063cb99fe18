//! The manifest: forged edits, read back, checked and opened.

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use kv_compaction::{TableMeta, TableOrigin};
use kv_core::{ChecksumSeed, SeqNo};
use kv_engine::{VersionEdit, read_manifest_edits};

use crate::allocation::{FIXED_BYTES, GROWTH, bounded_by};
use crate::assert_is_damage;
use crate::codec::EDIT_GROWTH;
use crate::damage::{Damage, apply_all};
use crate::log_forge::{Lies, LogForge};
use crate::specimen::{Specimen, contents};

/// A manifest.
#[derive(Debug, Arbitrary)]
pub struct Recipe {
    /// How many of the edits of a sound manifest come first.
    kept_edits: u8,
    edits: Vec<Edit>,
    is_finished: bool,
    /// Damage that no checksum knows of.
    damages: Vec<Damage>,
    /// Bytes in place of all this.
    raw: Option<Vec<u8>>,
}

#[derive(Debug, Arbitrary)]
struct Edit {
    added: Vec<(u8, Meta)>,
    removed: Vec<(u8, u8)>,
    flushed_through: Option<u8>,
    oldest_segment: Option<u8>,
    newest_segment: Option<u8>,
    next_file_id: Option<u8>,
    property: Option<(String, Vec<u8>)>,
    /// Copies an edit of the sound manifest instead.
    copied: Option<u8>,
    lies: Option<Lies>,
    /// Damage that all checksums cover.
    damages: Vec<Damage>,
}

#[derive(Debug, Arbitrary)]
struct Meta {
    id: u8,
    run: u8,
    keys: [u8; 2],
    entries: u8,
    deletes: u8,
    seqnos: [u8; 2],
}

/// Reads a forged manifest, alone and as part of a database.
pub fn run(recipe: &Recipe) {
    thread_local!(static SPECIMEN: Specimen = Specimen::new());
    SPECIMEN.with(|specimen| examine(specimen, recipe));
}

fn examine(specimen: &Specimen, recipe: &Recipe) {
    let bytes = recipe.write(specimen);
    let disk = specimen.with_file(&specimen.manifest_name, &bytes);
    let (fs, name) = (disk.fs(), specimen.manifest_name.as_str());
    // The reader, and all edits that it read.
    let limit = (GROWTH + EDIT_GROWTH) * bytes.len() + FIXED_BYTES;
    match bounded_by(limit, || read_manifest_edits(&*fs, name)) {
        Ok(edits) => edits.iter().for_each(|edit| assert_round_trip(edit, specimen)),
        Err(error) => assert_is_damage(&error),
    }
    let Some(engine) = specimen.examine(&disk) else { return };
    // The tables are those of the specimen, so what opens can be read, and
    // opened again after a clean end.
    let found = contents(&engine).expect("the tables are sound");
    engine.close().expect("the disk is sound");
    let again = specimen.examine(&disk).expect("what was opened and closed opens again");
    assert_eq!(contents(&again).expect("the tables are sound"), found);
    assert_eq!(disk.violations(), Vec::<String>::new());
}

/// An edit that was accepted is stored and read as itself.
fn assert_round_trip(edit: &VersionEdit, specimen: &Specimen) {
    let seed = specimen.manifest.seed();
    let stored = edit.encode(seed, 5).expect("it is small");
    let read = VersionEdit::decode(&stored, seed, 5, "manifest").expect("it was accepted before");
    assert_eq!(read, *edit);
}

impl Recipe {
    fn write(&self, specimen: &Specimen) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let mut forge = LogForge::new(specimen.manifest, 64 << 10);
        let seed = specimen.manifest.seed();
        for edit in specimen.edits.iter().take(usize::from(self.kept_edits)) {
            let payload = edit.encode(seed, forge.lsn()).expect("it was read from a manifest");
            forge.append(&payload, &Lies::default());
        }
        for edit in &self.edits {
            let payload = edit.encode(specimen, seed, forge.lsn());
            forge.append(&payload, edit.lies.as_ref().unwrap_or(&Lies::default()));
        }
        if self.is_finished {
            forge.finish();
        }
        let mut bytes = forge.seal(0);
        apply_all(&self.damages, &mut bytes);
        bytes
    }
}

impl Edit {
    fn encode(&self, specimen: &Specimen, seed: ChecksumSeed, lsn: u64) -> Vec<u8> {
        let edit = self.copied.and_then(|number| specimen.edits.get(usize::from(number)).cloned());
        let edit = edit.unwrap_or_else(|| self.edit());
        let mut stored = edit.encode(seed, lsn).expect("it is small");
        if self.damages.is_empty() {
            return stored;
        }
        // The record: version, length of what follows, edit, checksum.
        let mut body = stored[5..stored.len() - 4].to_vec();
        apply_all(&self.damages, &mut body);
        stored.truncate(1);
        stored.extend_from_slice(&(body.len() as u32).to_le_bytes());
        stored.extend_from_slice(&body);
        let checksum = seed.checksum(lsn, &stored);
        stored.extend_from_slice(&checksum.to_le_bytes());
        stored
    }

    fn edit(&self) -> VersionEdit {
        let added = self.added.iter().map(|(level, meta)| (u32::from(*level), meta.table()));
        let removed = self.removed.iter().map(|(level, id)| (u32::from(*level), u64::from(*id)));
        VersionEdit {
            added: added.collect(),
            removed: removed.collect(),
            flushed_through: self.flushed_through.map(|seqno| SeqNo(u64::from(seqno))),
            oldest_segment: self.oldest_segment.map(u64::from),
            newest_segment: self.newest_segment.map(u64::from),
            next_file_id: self.next_file_id.map(u64::from),
            properties: self.property.clone().into_iter().collect(),
            ..VersionEdit::default()
        }
    }
}

impl Meta {
    fn table(&self) -> TableMeta {
        TableMeta {
            id: u64::from(self.id),
            run: u64::from(self.run),
            origin: TableOrigin::Flush,
            file_uid: [0; 16],
            file_bytes: 1000,
            checksum: 0,
            entries: u64::from(self.entries),
            deletes: u64::from(self.deletes),
            smallest_key: vec![self.keys[0]],
            largest_key: vec![self.keys[1]],
            smallest_seqno: SeqNo(u64::from(self.seqnos[0])),
            largest_seqno: SeqNo(u64::from(self.seqnos[1])),
            slice: None,
            properties: BTreeMap::new(),
        }
    }
}
