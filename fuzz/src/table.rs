//! Tables: forged files, opened, read and scanned in both modes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arbitrary::Arbitrary;
use kv_core::{Cursor, FileHeader, FileKind, Kind, OwnedEntry, Result, SeqNo};
use kv_env::{Fs, SimDisk};
use kv_sstable::{
    BlockCache, Compression, CursorPurpose, ExpectedTable, KeyHash, ReadMode, Table, TableBuilder,
    TableOptions,
};

use crate::allocation::{FIXED_BYTES, GROWTH, bounded_by, own};
use crate::assert_is_damage;
use crate::damage::{Damage, apply_all};
use crate::specimen::DATABASE_ID;
use crate::table_forge::Parts;

const NAME: &str = "sst_000007.db";
const FILE_ID: u64 = 7;

/// LZ4 makes at most 255 bytes of one, by its format, and a decompressed block
/// has at most 16 MiB. At once there are one in the hands of a reader, one in
/// the cache, and one that a check or a scan has made for itself.
const LZ4_GROWTH: usize = 255;
const LARGEST_BLOCK_BYTES: usize = 16 << 20;
const BLOCKS_AT_ONCE: usize = 3;

/// A table.
#[derive(Debug, Arbitrary)]
pub struct Recipe {
    entries: BTreeMap<Vec<u8>, (u16, Option<Vec<u8>>)>,
    /// Lengthens each value, in sixteens.
    padding: u8,
    block_bytes: u8,
    restart_interval: u8,
    is_compressed: bool,
    filter_bits_per_key: u8,
    /// Damage that all checksums cover.
    inside: Vec<(Part, Damage)>,
    /// Damage that no checksum knows of.
    outside: Vec<Damage>,
    /// Bytes in place of all this.
    raw: Option<Vec<u8>>,
}

#[derive(Debug, Arbitrary)]
enum Part {
    Block(u8),
    Filter,
    Index,
    Properties,
    Footer,
}

/// Opens, reads and scans a forged table.
pub fn run(recipe: &Recipe) {
    let (bytes, entries) = recipe.write();
    let is_sound = recipe.raw.is_none() && recipe.inside.is_empty() && recipe.outside.is_empty();
    let findings = examine(&bytes, recipe.is_compressed || recipe.raw.is_some(), &probes(&entries));
    if is_sound {
        assert_eq!(findings.entries.as_deref().expect("the table is sound"), entries);
        assert!(findings.is_verified);
    }
    if recipe.raw.is_none()
        && recipe.inside.is_empty()
        && matches!(&recipe.outside[..], [damage] if damage.is_burst())
        && let Ok(found) = &findings.entries
    {
        assert_eq!(*found, entries, "a wrong answer");
    }
}

/// What readers made of a table.
pub struct Findings {
    /// All entries in order.
    pub entries: Result<Vec<OwnedEntry>>,
    /// True if a deep check found nothing.
    pub is_verified: bool,
}

/// Reads a file in both modes and by all ways, which must agree.
pub fn examine(bytes: &[u8], may_be_compressed: bool, probes: &[Vec<u8>]) -> Findings {
    let disk = SimDisk::new(1);
    disk.write_file(NAME, bytes);
    let fs = disk.fs();
    let block_bytes = (LZ4_GROWTH * bytes.len()).min(LARGEST_BLOCK_BYTES);
    let decompressed = if may_be_compressed { BLOCKS_AT_ONCE * block_bytes } else { 0 };
    let limit = GROWTH * bytes.len() + decompressed + FIXED_BYTES;
    let [by_map, by_pread] = [ReadMode::Map, ReadMode::Pread]
        .map(|mode| bounded_by(limit, || read(&*fs, bytes.len(), mode, probes)));
    assert_eq!(by_map.entries.is_ok(), by_pread.entries.is_ok(), "the modes disagree");
    if let (Ok(mapped), Ok(read)) = (&by_map.entries, &by_pread.entries) {
        assert_eq!(mapped, read, "the modes disagree");
    }
    assert_eq!(by_map.is_verified, by_pread.is_verified);
    by_map
}

fn read(fs: &dyn Fs, file_bytes: usize, mode: ReadMode, probes: &[Vec<u8>]) -> Findings {
    let expected =
        ExpectedTable { database_id: DATABASE_ID, file_id: FILE_ID, file_bytes: file_bytes as u64 };
    let table = match Table::open(fs, NAME, expected, mode, BlockCache::new(1 << 16)) {
        Ok(table) => table,
        Err(error) => {
            assert_is_damage(&error);
            return Findings { entries: Err(error), is_verified: false };
        }
    };
    let entries = scan(&table, CursorPurpose::Read);
    let verified = table.verify(true);
    for error in entries.as_ref().err().into_iter().chain(verified.as_ref().err()) {
        assert_is_damage(error);
    }
    if let (Ok(entries), Ok(report)) = (&entries, &verified) {
        assert_eq!(entries.len() as u64, report.entries);
        assert!(entries.is_sorted_by(|left, right| left.key < right.key));
        assert_lookups(&table, entries);
        let background = scan(&table, CursorPurpose::Background).expect("it was verified");
        assert_eq!(background, *entries);
    }
    for key in probes {
        probe(&table, key, entries.as_deref().ok().filter(|_| verified.is_ok()));
    }
    Findings { is_verified: verified.is_ok() && entries.is_ok(), entries }
}

/// Of a table that was verified every entry is found by its key.
fn assert_lookups(table: &Arc<Table>, entries: &[OwnedEntry]) {
    for entry in entries.iter().take(64) {
        let found = table
            .get(&entry.key, KeyHash::of(table.header().database_id, &entry.key))
            .expect("it was verified");
        let found = found.expect("it was verified");
        let expected = (entry.seqno, entry.kind, &entry.value[..]);
        assert_eq!((found.seqno, found.kind, &*found.value), expected);
    }
}

/// Looks for a key by all ways, on a table that may be damaged.
fn probe(table: &Arc<Table>, key: &[u8], truth: Option<&[OwnedEntry]>) {
    let found = table.get(key, KeyHash::of(table.header().database_id, key));
    let mut cursor = table.cursor(CursorPurpose::Read);
    let at_or_behind = cursor.seek(key).map(|()| cursor.valid().then(|| cursor.key().to_vec()));
    let before = cursor.seek_before(key).map(|()| cursor.valid().then(|| cursor.key().to_vec()));
    if let Some(entries) = truth {
        let next = entries.partition_point(|entry| entry.key.as_slice() < key);
        let is_there = entries.get(next).is_some_and(|entry| entry.key == key);
        assert_eq!(found.expect("it was verified").is_some(), is_there);
        let expected = entries.get(next).map(|entry| entry.key.clone());
        assert_eq!(at_or_behind.expect("it was verified"), expected);
        let expected = next.checked_sub(1).map(|last| entries[last].key.clone());
        assert_eq!(before.expect("it was verified"), expected);
        return;
    }
    let errors = [found.err(), at_or_behind.err(), before.err()];
    errors.iter().flatten().for_each(assert_is_damage);
}

/// All entries in order; gathered from both ends, which must agree.
fn scan(table: &Arc<Table>, purpose: CursorPurpose) -> Result<Vec<OwnedEntry>> {
    let mut cursor = table.cursor(purpose);
    let mut forwards = Vec::new();
    cursor.seek_to_first()?;
    while cursor.valid() {
        own(|| forwards.push(entry(&cursor)));
        cursor.next()?;
    }
    let mut steps = 0;
    cursor.seek_to_last()?;
    while cursor.valid() {
        steps += 1;
        let expected = forwards.len().checked_sub(steps).map(|index| &forwards[index]);
        assert!(expected.is_some_and(|entry| is_at(&cursor, entry)), "the way back differs");
        cursor.prev()?;
    }
    assert_eq!(steps, forwards.len());
    Ok(forwards)
}

fn is_at(cursor: &impl Cursor, entry: &OwnedEntry) -> bool {
    (cursor.key(), cursor.seqno(), cursor.kind(), cursor.value())
        == (&entry.key[..], entry.seqno, entry.kind, &entry.value[..])
}

fn entry(cursor: &impl Cursor) -> OwnedEntry {
    OwnedEntry {
        key: cursor.key().to_vec(),
        seqno: cursor.seqno(),
        kind: cursor.kind(),
        value: cursor.value().to_vec(),
    }
}

fn probes(entries: &[OwnedEntry]) -> Vec<Vec<u8>> {
    let mut probes = vec![Vec::new(), vec![0xff; 3], b"key".to_vec()];
    for entry in entries.iter().step_by(1 + entries.len() / 8) {
        probes.push(entry.key.clone());
        probes.push([&entry.key[..], &[0]].concat());
    }
    probes
}

impl Recipe {
    fn entries(&self) -> Vec<OwnedEntry> {
        let entries = self.entries.iter();
        let mut entries: Vec<OwnedEntry> = entries
            .map(|(key, (seqno, value))| OwnedEntry {
                key: key.clone(),
                seqno: SeqNo(u64::from(*seqno)),
                kind: if value.is_some() { Kind::Put } else { Kind::Delete },
                value: value.as_ref().map_or_else(Vec::new, |value| {
                    [&value[..], &vec![b'p'; 16 * usize::from(self.padding)]].concat()
                }),
            })
            .collect();
        if entries.is_empty() {
            let (key, value) = (b"key".to_vec(), b"value".to_vec());
            entries.push(OwnedEntry { key, seqno: SeqNo(1), kind: Kind::Put, value });
        }
        entries
    }

    /// The file and its entries.
    fn write(&self) -> (Vec<u8>, Vec<OwnedEntry>) {
        let entries = self.entries();
        if let Some(raw) = &self.raw {
            return (raw.clone(), entries);
        }
        let options = TableOptions {
            block_bytes: 1 + 16 * usize::from(self.block_bytes),
            restart_interval: usize::from(self.restart_interval).max(1),
            compression: if self.is_compressed { Compression::Lz4 } else { Compression::None },
            filter_bits_per_key: self.filter_bits_per_key % 33,
            ..TableOptions::default()
        };
        let mut bytes = build(&entries, options);
        if !self.inside.is_empty() {
            let mut parts = Parts::of(&bytes);
            self.inside.iter().for_each(|(part, damage)| part.hurt(damage, &mut parts));
            bytes = parts.seal();
        }
        apply_all(&self.outside, &mut bytes);
        (bytes, entries)
    }
}

impl Part {
    fn hurt(&self, damage: &Damage, parts: &mut Parts) {
        let count = parts.blocks.len();
        let bytes = match self {
            Part::Block(number) => &mut parts.blocks[usize::from(*number) % count],
            Part::Filter => &mut parts.filter,
            Part::Index => &mut parts.index,
            Part::Properties => &mut parts.properties,
            Part::Footer => &mut parts.footer_end,
        };
        damage.apply(bytes);
    }
}

/// The bytes of a table of `entries`.
pub fn build(entries: &[OwnedEntry], options: TableOptions) -> Vec<u8> {
    let disk = SimDisk::new(1);
    let header = FileHeader {
        kind: FileKind::Table,
        database_id: DATABASE_ID,
        file_id: FILE_ID,
        file_uid: [7; 16],
    };
    let builder = TableBuilder::create(&*disk.fs(), NAME, header, options);
    let mut builder = builder.expect("the options are in range");
    for entry in entries {
        let added = builder.add(&entry.key, entry.seqno, entry.kind, &entry.value);
        added.expect("the entries are in order and small");
    }
    builder.finish().expect("the disk is sound");
    disk.read_file(NAME).expect("it was written")
}
