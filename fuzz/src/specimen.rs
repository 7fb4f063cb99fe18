//! A small database with every kind of file, to put forged files into.

use std::collections::BTreeMap;

use kv_core::{DatabaseId, FileHeader, FileKind, Result};
use kv_engine::{
    Background, Engine, FlushSize, KeyRange, Options, VerifyReport, VersionEdit,
    read_manifest_edits, verify_directory,
};
use kv_env::{CrashChoice, SimDisk};

use crate::assert_is_damage;

/// What a database holds.
pub type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// The active segment of every database.
pub const ACTIVE_SEGMENT: &str = "wal.log";

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
            let (key, value) = (vec![b'k', number % 10], vec![number; usize::from(number)]);
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

    /// Checks a disk and opens it: both agree on whether it is sound, neither
    /// panics, and a refusal changes nothing.
    pub fn examine(&self, disk: &SimDisk) -> Option<Engine> {
        let before = disk.fingerprint();
        let verified = verify_directory(&disk.env(), true);
        assert_eq!(disk.fingerprint(), before, "a check changes nothing");
        let opened = Engine::open_in(disk.env(), options());
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
