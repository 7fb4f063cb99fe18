//! A small database with every kind of file, to put forged files into.

use std::collections::BTreeMap;

use kv_core::{DatabaseId, FileHeader, FileKind, Result};
use kv_engine::{
    Background, Engine, FlushSize, KeyRange, Options, VerifyReport, VersionEdit,
    read_manifest_edits, verify_directory,
};
use kv_env::{CrashChoice, SimDisk};

use crate::allocation::bounded_by;
use crate::assert_is_damage;

/// What a database holds.
pub type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// The active segment of every database.
pub const ACTIVE_SEGMENT: &str = "wal.log";

/// What a check, an open engine and the simulated disk below it hold beside four
/// times the files: chunks of memory tables of a mebibyte (the active one, the
/// two that may wait, one that a flush reads, two kept for reuse), the block
/// cache, chunks of a reader and a writer for each log, and on the disk the
/// segments that were prepared, each with its copy for a power cut. No option
/// and no input adds to it.
pub const ENGINE_BYTES: usize = 32 << 20;

/// Options under which a few writes already freeze, flush and compact.
pub fn options() -> Options {
    let mut options = Options {
        memtable_flush_size: FlushSize::Entries(8),
        compaction_sstable_threshold: 2,
        background: Background::Manual,
        block_cache_bytes: 1 << 16,
        ..Options::default()
    };
    options.table.block_bytes = 128;
    options
}

/// A database that was not closed: tables in two levels, and an active segment
/// whose writes are about to be forged.
pub struct Specimen {
    disk: SimDisk,
    /// What the tables hold.
    pub flushed: State,
    /// The number that the first batch of the active segment must have.
    pub next_seqno: u64,
    /// Who the active segment is.
    pub segment: FileHeader,
    /// Who the manifest is, and its name.
    pub manifest: FileHeader,
    /// Its name.
    pub manifest_name: String,
    /// What the manifest says.
    pub edits: Vec<VersionEdit>,
}

impl Specimen {
    /// Writes one.
    pub fn new() -> Specimen {
        let disk = SimDisk::new(11);
        let engine = Engine::open_in(disk.env(), options()).expect("an empty disk opens");
        let (mut flushed, mut last) = (State::new(), 0);
        for number in 0..24u8 {
            let (key, value) = (vec![b'k', number % KEYS], vec![number; usize::from(number)]);
            last = engine.put(&key, &value).expect("the disk is sound").0;
            flushed.insert(key, value);
            if number == 16 {
                engine.compact().expect("the disk is sound");
            }
        }
        engine.flush().expect("the disk is sound");
        let next_seqno = last + 1;
        drop(engine);
        let disk = disk.crash(CrashChoice::All);
        let manifest_name = kv_engine::current_manifest(&disk.env());
        let manifest_name = manifest_name.expect("it reads").expect("there is a manifest");
        let edits = read_manifest_edits(&*disk.fs(), &manifest_name).expect("it reads");
        let segment = header(&disk, ACTIVE_SEGMENT, FileKind::Wal);
        let manifest = header(&disk, &manifest_name, FileKind::Manifest);
        Specimen { disk, flushed, next_seqno, segment, manifest, manifest_name, edits }
    }

    /// The database with another file in place of its own.
    pub fn with_file(&self, name: &str, bytes: &[u8]) -> SimDisk {
        let disk = self.disk.crash(CrashChoice::All);
        disk.write_file(name, bytes);
        disk
    }

    /// The names of all files that count, in order.
    pub fn file_names(&self) -> Vec<String> {
        let entries = self.disk.fs().list().expect("it reads").into_iter();
        let mut names: Vec<String> = entries.map(|entry| entry.name).collect();
        names.retain(|name| name != "LOCK");
        names.sort_unstable();
        names
    }

    /// The bytes of a file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        self.disk.read_file(name).expect("it is there")
    }

    /// The bytes of all files.
    pub fn size_bytes(&self) -> usize {
        self.file_names().iter().map(|name| self.read(name).len()).sum()
    }

    /// Checks a disk and opens it: both agree on whether it is sound, neither
    /// panics, and a refusal changes nothing.
    pub fn examine(&self, disk: &SimDisk) -> Option<Engine> {
        let before = disk.fingerprint();
        let limit = 4 * self.size_bytes() + ENGINE_BYTES;
        let verified = bounded_by(limit, || verify_directory(&disk.env(), true));
        assert_eq!(disk.fingerprint(), before, "a check changes nothing");
        let opened = bounded_by(limit, || Engine::open_in(disk.env(), options()));
        let is_sound = is_sound(&verified);
        match opened {
            Ok(engine) => {
                assert!(is_sound, "it opens, but the check says {verified:?}");
                Some(engine)
            }
            Err(error) => {
                assert_is_damage(&error);
                assert!(!is_sound, "the check finds nothing, yet: {error}");
                assert_eq!(disk.fingerprint(), before, "changed, yet refused: {error}");
                None
            }
        }
    }
}

impl Default for Specimen {
    fn default() -> Specimen {
        Specimen::new()
    }
}

/// Keys that the writes of a specimen take turns with.
const KEYS: u8 = 10;

/// True if the specimen ever gave `key` this value.
pub fn is_written(key: &[u8], value: &[u8]) -> bool {
    let number = value.len() as u8;
    value.len() < 24 && value.iter().all(|byte| *byte == number) && key == [b'k', number % KEYS]
}

/// All that an engine holds; the same in both directions.
pub fn contents(engine: &Engine) -> Result<State> {
    let forward: State = pairs(engine.scan(KeyRange::all())?)?.into_iter().collect();
    let backward = pairs(engine.scan(KeyRange::all())?.reverse())?;
    assert!(forward.iter().rev().eq(backward.iter().map(|(key, value)| (key, value))));
    Ok(forward)
}

fn pairs(scan: kv_engine::Scan) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    scan.map(|entry| entry.map(|(key, value)| (key, value.to_vec()))).collect()
}

fn is_sound(verified: &Result<VerifyReport>) -> bool {
    verified.as_ref().is_ok_and(|report| report.problems.is_empty())
}

fn header(disk: &SimDisk, name: &str, kind: FileKind) -> FileHeader {
    kv_wal::read_header(&*disk.fs(), name, kind).expect("the specimen is sound")
}

/// The database that forged tables belong to.
pub const DATABASE_ID: DatabaseId = DatabaseId([0xd; 16]);
