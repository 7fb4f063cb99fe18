//! Rot, exhaustively: every bit of the first 8 KiB of one file of each kind is
//! flipped in a full database directory, and the engine is opened and read.
//!
//! | outcome | what it means |
//! |---|---|
//! | identical | every read gives what it gave before |
//! | refused | the open fails with an error that names the file |
//! | reported | it opens, and reads of what is damaged fail and name the file |
//! | undecided | the end of the log is taken for torn, and cut; the report says so |
//!
//! Anything else, a wrong answer above all, fails the test. The undecided are
//! counted exactly: they are the share of rot that no reader can tell from a
//! power cut, and the counts must not grow.
//!
//! `damage.rs` asks more of each damaged directory (the check without changes,
//! disks cut and exchanged) at fewer bits; `kv-wal` does the same for a log
//! alone.

use std::collections::BTreeMap;
use std::fmt;

use kv_engine::{Engine, Error, FlushSize, KeyRange, Options};
use kv_env::{CrashChoice, SimDisk};

use crate::support::{open, tiny};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// Bytes of each file whose bits are flipped, which all files are made to have:
/// header and first frame of a log.
const FLIPPED_BYTES: usize = 8 << 10;

/// Writes that fill a memory table.
const TABLE_WRITES: usize = 20;

/// Where a log's records start: behind the header and the first stamp.
const FIRST_RECORD: usize = 4096 + 16;

/// A database with tables, a sealed segment and an active one, and every state
/// it was in.
struct Specimen {
    disk: SimDisk,
    states: Vec<State>,
}

/// What all flips of a file came to.
#[derive(Default, PartialEq, Eq)]
struct Census {
    identical: usize,
    refused: usize,
    reported: usize,
    undecided: usize,
}

impl fmt::Display for Census {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Census { identical, refused, reported, undecided } = self;
        write!(
            formatter,
            "{:>7} flips: {identical:>6} identical, {refused:>6} refused, {reported:>6} reported, \
             {undecided:>5} undecided, 0 wrong",
            identical + refused + reported + undecided
        )
    }
}

enum Outcome {
    Identical,
    Refused,
    Reported,
    Undecided,
}

fn options() -> Options {
    let mut options = Options {
        memtable_flush_size: FlushSize::Entries(TABLE_WRITES as u64),
        compaction_sstable_threshold: 8,
        ..tiny()
    };
    options.table.block_bytes = 1024;
    options
}

/// Printable bytes without a run of equal ones.
fn text(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| b'!' + ((at * 7 + at / 90 + number * 31) % 90) as u8).collect()
}

/// Bytes of all values.
fn binary(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

impl Specimen {
    /// The last write of the active segment has this value.
    fn new(last: &[u8]) -> Specimen {
        let mut specimen = Specimen { disk: SimDisk::new(7), states: vec![State::new()] };
        let engine = open(&specimen.disk, options());
        for number in 0..TABLE_WRITES {
            specimen.write(&engine, number, &text(number, 380));
        }
        engine.flush().unwrap();
        for number in 0..TABLE_WRITES {
            specimen.write(&engine, number + 10, &text(number, 170));
            engine.run_background_step().unwrap();
        }
        for number in 0..TABLE_WRITES - 2 {
            specimen.write(&engine, number + 20, &text(number, 150));
            if number == 0 {
                // Seals the segment of the full memory table, flushes nothing.
                engine.run_background_step().unwrap();
            }
        }
        specimen.write(&engine, 99, last);
        // Not a close: the log has no end mark.
        specimen.disk = specimen.disk.crash(CrashChoice::All);
        specimen
    }

    fn write(&mut self, engine: &Engine, number: usize, value: &[u8]) {
        let key = format!("key {number}").into_bytes();
        engine.put(&key, value).unwrap();
        let mut state = self.states.last().unwrap().clone();
        state.insert(key, value.to_vec());
        self.states.push(state);
    }

    /// The one file whose name starts like this, and its length.
    fn file(&self, start: &str) -> (String, usize) {
        let entries = self.disk.fs().list().unwrap().into_iter();
        let mut found: Vec<_> = entries.filter(|entry| entry.name.starts_with(start)).collect();
        assert_eq!(found.len(), 1, "{start}: {found:?}");
        let entry = found.remove(0);
        (entry.name, entry.len as usize)
    }

    /// Flips every bit of the first bytes of a file in turn.
    fn flip_all(&self, start: &str) -> Census {
        let (name, len) = self.file(start);
        let mut census = Census::default();
        assert!(len >= FLIPPED_BYTES, "{name} has only {len} bytes");
        for bit in 0..FLIPPED_BYTES * 8 {
            let disk = self.disk.crash(CrashChoice::All);
            disk.corrupt(&name, bit as u64 / 8, 1 << (bit % 8));
            let what = format!("bit {} of byte {} of {name}", bit % 8, bit / 8);
            *match self.examine(&disk, &name, &what) {
                Outcome::Identical => &mut census.identical,
                Outcome::Refused => &mut census.refused,
                Outcome::Reported => &mut census.reported,
                Outcome::Undecided => &mut census.undecided,
            } += 1;
        }
        println!("{name:<20} {census}");
        census
    }

    fn examine(&self, disk: &SimDisk, name: &str, what: &str) -> Outcome {
        let engine = match Engine::open_in(disk.env(), options()) {
            Ok(engine) => engine,
            Err(error) => {
                assert_names(&error, name, what);
                return Outcome::Refused;
            }
        };
        let truth = self.states.last().unwrap();
        let found: Result<State, Error> = engine
            .scan(KeyRange::all())
            .unwrap()
            .map(|entry| entry.map(|(key, value)| (key, value.to_vec())))
            .collect();
        let mut outcome = match found {
            Ok(found) if found == *truth => Outcome::Identical,
            Ok(found) => return self.assert_cut(&engine, &found, name, what),
            Err(error) => {
                assert_names(&error, name, what);
                Outcome::Reported
            }
        };
        for (key, value) in truth {
            match engine.get(key) {
                Ok(found) => assert_eq!(found.as_deref(), Some(&value[..]), "{what}"),
                Err(error) => {
                    assert_names(&error, name, what);
                    outcome = Outcome::Reported;
                }
            }
        }
        outcome
    }

    /// Only the last write may be gone, and the report must say that something
    /// was cut.
    fn assert_cut(&self, engine: &Engine, found: &State, name: &str, what: &str) -> Outcome {
        assert_eq!(*found, self.states[self.states.len() - 2], "{what}: a wrong answer");
        let segments = &engine.recovery_report().segments;
        let cut = segments.iter().find(|segment| segment.cut.is_some());
        assert_eq!(cut.map(|segment| segment.name.as_str()), Some(name), "{what}: in silence");
        Outcome::Undecided
    }
}

fn assert_names(error: &Error, name: &str, what: &str) {
    let (Error::Corruption { file, .. } | Error::Unsupported { file, .. }) = error else {
        panic!("{what}: not a report of damage: {error}");
    };
    assert_eq!(file, name, "{what}: {error}");
}

#[test]
fn of_a_table() {
    let census = Specimen::new(b"the last value").flip_all("sst_");
    // Whatever is flipped, something says so: a table has no padding.
    assert_eq!((census.identical, census.undecided), (0, 0));
}

#[test]
fn of_a_manifest() {
    let specimen = Specimen::new(b"the last value");
    assert_eq!(specimen.flip_all("MANIFEST_").undecided, 0);
}

#[test]
fn of_a_sealed_segment() {
    let specimen = Specimen::new(b"the last value");
    assert_eq!(specimen.flip_all("wal_0").undecided, 0);
}

#[test]
fn of_the_active_segment() {
    let specimen = Specimen::new(b"the last value");
    assert_eq!(specimen.flip_all("wal.log").undecided, 0);
}

/// The share of rot in the last synced record that looks like a tear: by what
/// the record holds.
#[test]
fn of_a_last_record_by_its_payload() {
    let len = 150;
    let zeros_inside = [text(1, 40), vec![0; 70], text(2, 40)].concat();
    let cases = [
        ("text", text(1, len), 0),
        ("binary", binary(len), 0),
        // Zeros at the end of one line, and any part may be missing: all of
        // the payload is undecided, the header never.
        ("zeros inside", zeros_inside, 1328),
        ("zeros", vec![0; len], 1392),
    ];
    for (kind, value, expected) in cases {
        let specimen = Specimen::new(&value);
        let bytes = specimen.disk.read_file("wal.log").unwrap();
        let start = bytes.windows(6).position(|part| part == b"key 99").unwrap();
        let (start, end) = (start - 20 - 13 - 3, start + 7 + 2 + len);
        assert!(start > FIRST_RECORD);
        let mut undecided = 0;
        for bit in start * 8..end * 8 {
            let disk = specimen.disk.crash(CrashChoice::All);
            disk.corrupt("wal.log", bit as u64 / 8, 1 << (bit % 8));
            let outcome = specimen.examine(&disk, "wal.log", &format!("{kind}, bit {bit}"));
            undecided += usize::from(matches!(outcome, Outcome::Undecided));
        }
        let bits = (end - start) * 8;
        println!("last record, {kind:<13} {bits:>5} flips: {undecided:>5} undecided");
        assert_eq!(undecided, expected, "{kind}, of {bits}");
    }
}
