//! Damage, enumerated: every file of a small database is cut at every byte,
//! has every bit flipped, is deleted, exchanged, or replaced by one of another
//! time or another database.
//!
//! Allowed are: the same answers as before; a typed error that names the file,
//! at open (then nothing has changed) or at a read; and for the last record of
//! the log, which a power cut may have torn, the state before it. Never a wrong
//! answer, never a panic. What the check without changes says agrees with what
//! an open does.

use std::collections::{BTreeMap, BTreeSet};

use kv_engine::{
    Durability, Engine, Error, KeyRange, Options, VerifyReport, WriteBatch, verify_directory,
};
use kv_env::{CrashChoice, SimDisk};

use crate::support::{open, tiny};

mod misplaced;

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// Length of the header of a log; the first frame follows.
const LOG_HEADER_BYTES: usize = 4096;
/// Length of a frame's stamp; records follow.
const STAMP_BYTES: usize = 16;

/// A database to be damaged, and all states it ever had.
struct Specimen {
    disk: SimDisk,
    states: Vec<State>,
}

/// What damage led to.
#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    /// Nothing is missing.
    Identical,
    /// The database cannot be opened; the file that is named.
    Refused(String),
    /// It can be opened, and reads of what is damaged fail; the file named.
    Reported(String),
    /// The last batches are gone.
    Lost {
        batches: usize,
        /// The report says that something was cut off.
        is_reported: bool,
    },
}

/// How many damages led where.
#[derive(Debug, Default, PartialEq, Eq)]
struct Census {
    identical: usize,
    refused: usize,
    reported: usize,
    lost: usize,
    /// The most batches that one of them took.
    longest_loss: usize,
}

impl Census {
    fn add(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Identical => &mut self.identical,
            Outcome::Refused(_) => &mut self.refused,
            Outcome::Reported(_) => &mut self.reported,
            Outcome::Lost { batches, .. } => {
                self.longest_loss = self.longest_loss.max(*batches);
                &mut self.lost
            }
        } += 1;
    }
}

/// Freezes happen after eight writes; blocks are small, so a table has some.
fn options() -> Options {
    let mut options = tiny();
    options.table.block_bytes = 128;
    options
}

fn text(number: usize) -> Vec<u8> {
    format!("value {number}, ").repeat(1 + number % 4).into_bytes()
}

/// How far the writing of a specimen goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage<'a> {
    Filling,
    Sealed,
    Active { active: usize, last: &'a [u8] },
}

fn holds_data(name: &str) -> bool {
    !["LOCK", "RESERVE"].contains(&name)
}

impl Specimen {
    fn write(&mut self, engine: &Engine, key: &str, value: &[u8]) {
        engine.put(key.as_bytes(), value).unwrap();
        let mut state = self.states.last().unwrap().clone();
        state.insert(key.as_bytes().to_vec(), value.to_vec());
        self.states.push(state);
    }

    /// Tables of two levels, a sealed segment whose writes are in no table,
    /// and an active one with `active` writes, the last of which is `last`.
    fn new(active: usize, last: &[u8]) -> Specimen {
        Specimen::build(Stage::Active { active, last })
    }

    /// The same, with no write in the active segment yet.
    fn sealed() -> Specimen {
        Specimen::build(Stage::Sealed)
    }

    /// The same database before the successor of its segment was made.
    fn sealed_before_preparing() -> Specimen {
        Specimen::build(Stage::Filling)
    }

    fn build(stage: Stage<'_>) -> Specimen {
        let mut specimen = Specimen { disk: SimDisk::new(11), states: vec![State::new()] };
        let engine = open(&specimen.disk, options());
        for number in 0..20 {
            specimen.write(&engine, &format!("key{}", number % 7), &text(number));
        }
        engine.compact().unwrap();
        for number in 20..24 {
            specimen.write(&engine, &format!("key{number}"), &text(number));
        }
        engine.flush().unwrap();
        specimen.write(&engine, "key1", &text(25));
        if stage != Stage::Filling {
            for number in 25..32 {
                specimen.write(&engine, &format!("key{}", number % 9), &text(number));
                engine.run_background_step().unwrap();
            }
            specimen.seal(&engine, stage);
        }
        // Not a close: the log and the manifest have no end marks.
        specimen.disk = specimen.copy();
        specimen
    }

    /// Freezes the full memory table and seals its segment, but does not flush.
    fn seal(&mut self, engine: &Engine, stage: Stage<'_>) {
        let Stage::Active { active, last } = stage else {
            // An empty batch switches segments and writes nothing.
            engine.write(WriteBatch::new(), Durability::Sync).unwrap();
            engine.run_background_step().unwrap();
            return;
        };
        for number in 1..=active {
            let value = if number == active { last.to_vec() } else { text(number) };
            self.write(engine, &format!("active{number}"), &value);
            if number == 1 {
                engine.run_background_step().unwrap();
            }
        }
    }

    fn files(&self) -> Vec<String> {
        let entries = self.disk.fs().list().unwrap();
        entries.into_iter().map(|entry| entry.name).filter(|name| holds_data(name)).collect()
    }

    /// The one file whose name starts like this.
    fn file(&self, start: &str) -> String {
        let mut names = self.files();
        names.retain(|name| name.starts_with(start));
        assert_eq!(names.len(), 1, "{start}: {names:?}");
        names.remove(0)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.disk.read_file(name).unwrap()
    }

    /// The same disk, to be damaged.
    fn copy(&self) -> SimDisk {
        self.disk.crash(CrashChoice::All)
    }

    fn with_file(&self, name: &str, bytes: &[u8]) -> SimDisk {
        let disk = self.copy();
        disk.write_file(name, bytes);
        disk
    }

    /// Opens a damaged disk, asks for everything, and judges the answers.
    fn examine(&self, disk: &SimDisk, what: &str) -> Outcome {
        let before = disk.fingerprint();
        let verified = verify_directory(&disk.env(), true);
        assert_eq!(disk.fingerprint(), before, "{what}: the check changed something");
        let outcome = match Engine::open_in(disk.env(), options()) {
            Ok(engine) => self.question(&engine, what),
            Err(error) => {
                assert_eq!(disk.fingerprint(), before, "{what}: changed, yet refused: {error}");
                Outcome::Refused(named_file(&error, what))
            }
        };
        assert_eq!(disk.violations(), Vec::<String>::new(), "{what}");
        assert_agreement(&verified, &outcome, what);
        outcome
    }

    fn question(&self, engine: &Engine, what: &str) -> Outcome {
        let last = self.states.len() - 1;
        let mut failure = None;
        let mut found = State::new();
        for entry in engine.scan(KeyRange::all()).unwrap() {
            match entry {
                Ok((key, value)) => drop(found.insert(key, value.to_vec())),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let number = match &failure {
            // A read error is no tear: what was shown before it is the truth.
            Some(_) => {
                let truth = &self.states[last];
                assert!(found.iter().eq(truth.iter().take(found.len())), "{what}: {found:?}");
                last
            }
            None => self.states.iter().rposition(|state| *state == found).unwrap_or_else(|| {
                panic!("{what}: never the state: {found:?}");
            }),
        };
        for key in self.states[last].keys().map(Vec::as_slice).chain([&b"absent"[..], b"key"]) {
            match engine.get(key) {
                Ok(value) => assert_eq!(
                    value.as_deref(),
                    self.states[number].get(key).map(Vec::as_slice),
                    "{what}: {key:?}"
                ),
                Err(error) => failure = Some(error),
            }
        }
        let is_reported =
            engine.recovery_report().segments.iter().any(|segment| segment.cut.is_some());
        match failure {
            Some(error) => {
                assert!(engine.verify().is_err(), "{what}");
                Outcome::Reported(named_file(&error, what))
            }
            None if number == last => Outcome::Identical,
            None => Outcome::Lost { batches: last - number, is_reported },
        }
    }
}

/// The file that a report of damage names.
fn named_file(error: &Error, what: &str) -> String {
    assert!(!error.to_string().is_empty());
    match error {
        Error::Corruption { file, .. } | Error::Unsupported { file, .. } => file.clone(),
        other => panic!("{what}: not a report of damage: {other}"),
    }
}

/// The check finds problems where an open refuses or a read fails, and only
/// there.
fn assert_agreement(verified: &Result<VerifyReport, Error>, outcome: &Outcome, what: &str) {
    let is_sound = verified.as_ref().is_ok_and(|report| report.problems.is_empty());
    let expected = matches!(outcome, Outcome::Identical | Outcome::Lost { .. });
    assert_eq!(is_sound, expected, "{what}: {outcome:?}, but the check says {verified:?}");
}

fn used_bytes(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

/// Where a file is worth hurting: all of it, but of long runs of zeros a part.
fn interesting(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let used = used_bytes(bytes);
    let padding = if used > LOG_HEADER_BYTES { 100..LOG_HEADER_BYTES } else { 0..0 };
    (0..bytes.len()).filter(move |offset| {
        (*offset < used + 64 && !padding.contains(offset)) || offset.is_multiple_of(509)
    })
}

#[test]
fn the_specimen_has_every_kind_of_file() {
    let specimen = Specimen::new(3, b"the last value");
    for start in ["MANIFEST_", "compacted_", "sst_", "wal_0", "wal.log"] {
        specimen.file(start);
    }
    assert_eq!(specimen.examine(&specimen.copy(), "intact"), Outcome::Identical);
}

/// A power cut leaves zeros where a record is missing, for the file was made
/// long before. A file that is shorter was cut by something else.
#[test]
fn the_active_segment_may_be_torn_anywhere_and_cut_nowhere() {
    let specimen = Specimen::new(4, b"the last value");
    let whole = specimen.bytes("wal.log");
    let (mut longest_loss, mut unreported) = (0, BTreeSet::new());
    for len in interesting(&whole) {
        let cut = specimen.with_file("wal.log", &whole[..len]);
        let outcome = specimen.examine(&cut, &format!("wal.log cut to {len} bytes"));
        // In the place of an end mark it ends as after a crash while it was sealed.
        let is_refused = outcome == Outcome::Refused("wal.log".into());
        assert!(is_refused || outcome == Outcome::Identical, "cut to {len} bytes: {outcome:?}");

        let what = format!("wal.log with zeros from {len}");
        let mut torn = whole.clone();
        torn[len..].fill(0);
        let disk = specimen.with_file("wal.log", &torn);
        match specimen.examine(&disk, &what) {
            Outcome::Refused(file) => {
                assert!(len < LOG_HEADER_BYTES && file == "wal.log", "{what}: {file}");
            }
            Outcome::Lost { batches, is_reported } => {
                longest_loss = longest_loss.max(batches);
                if !is_reported && len > LOG_HEADER_BYTES + STAMP_BYTES {
                    unreported.insert(len);
                }
            }
            other => assert_eq!(other, Outcome::Identical, "{what}"),
        }
    }
    assert_eq!(longest_loss, 4, "no more than the segment held");
    // Only where a record ends there is nothing to be seen.
    assert_eq!(unreported.len(), 3, "{unreported:?}");
}

#[test]
fn torn_bytes_are_kept() {
    let specimen = Specimen::new(4, b"the last value");
    let whole = specimen.bytes("wal.log");
    let used = used_bytes(&whole);
    let mut torn_file = whole.clone();
    torn_file[used - 3..].fill(0);
    let disk = specimen.with_file("wal.log", &torn_file);
    let engine = open(&disk, options());
    let report = engine.recovery_report().clone();
    let torn = report.segments.iter().find_map(|segment| segment.cut.clone()).unwrap();
    let kept = disk.read_file(torn.kept_as.as_deref().unwrap()).unwrap();
    assert_eq!(kept, torn_file[torn.offset as usize..used - 3]);
    assert_eq!(kept.len() as u64, torn.bytes);
    assert!(report.to_string().contains("cut"), "{report}");
}

/// A recovery that is interrupted between setting the torn bytes aside and
/// cutting them off leaves them in one place at least.
#[test]
fn torn_bytes_are_kept_by_an_interrupted_recovery() {
    let specimen = Specimen::new(4, b"the last value");
    let whole = specimen.bytes("wal.log");
    let used = used_bytes(&whole);
    let mut torn = whole.clone();
    torn[used - 3..].fill(0);
    let disk = specimen.with_file("wal.log", &torn);
    let from = disk.op_count();
    let engine = open(&disk, options());
    let cuts = engine.recovery_report().segments.iter().find_map(|found| found.cut.clone());
    let (cut, ops) = (cuts.unwrap(), disk.op_count());
    drop(engine);
    let kept_as = cut.kept_as.unwrap();
    let expected = &torn[cut.offset as usize..used - 3];
    for op in from..=ops {
        for (choice, image) in disk.images(op) {
            drop(open(&image, options()));
            let kept = image.read_file(&kept_as);
            assert_eq!(kept.as_deref(), Some(expected), "power cut after op {op}, {choice:?}");
        }
    }
}

/// Flips bits of `name` and counts the outcomes. `bits` of each byte.
fn flip_all(specimen: &Specimen, name: &str, all_bits: bool) -> Census {
    let mut census = Census::default();
    let mut misnamed = Vec::new();
    for offset in interesting(&specimen.bytes(name)) {
        for bit in 0..8 {
            if !all_bits && bit != offset % 8 {
                continue;
            }
            let disk = specimen.copy();
            disk.corrupt(name, offset as u64, 1 << bit);
            let what = format!("bit {bit} of byte {offset} of {name}");
            let outcome = specimen.examine(&disk, &what);
            if let Outcome::Refused(file) | Outcome::Reported(file) = &outcome
                && file != name
            {
                misnamed.push(format!("{what} is blamed on {file}"));
            }
            census.add(&outcome);
        }
    }
    println!("{name}: {census:?}, {misnamed:?}");
    // Rot of the type of a record makes zeros at the end of a line, if the
    // line ends right there; that passes for a tear. What the manifest had
    // behind it is missed elsewhere.
    assert!(misnamed.len() <= 1, "{misnamed:?}");
    census
}

#[test]
fn every_flipped_bit_of_the_active_segment_is_harmless_or_refused() {
    let specimen = Specimen::new(4, b"the last value");
    let census = flip_all(&specimen, "wal.log", true);
    assert_eq!((census.lost, census.reported), (0, 0), "{census:?}");
    assert!(census.refused > 1000, "{census:?}");
}

/// What cannot be decided: the last record holds zeros where a tear would leave
/// them. Then rot in that record passes for a tear, and nothing else does.
#[test]
fn a_last_record_that_looks_torn_is_the_only_one_at_risk() {
    let value = [0; 150];
    let specimen = Specimen::new(3, &value);
    let census = flip_all(&specimen, "wal.log", false);
    // One bit of each byte is tried.
    let last_record_bits = 20 + 13 + 3 + 7 + 2 + value.len();
    assert!(census.lost > 0 && census.lost <= last_record_bits, "{census:?}");
    assert_eq!((census.reported, census.longest_loss), (0, 1), "{census:?}");
}

#[test]
fn every_flipped_bit_of_a_sealed_segment_is_harmless_or_refused() {
    let specimen = Specimen::new(2, b"the last value");
    let census = flip_all(&specimen, &specimen.file("wal_0"), true);
    assert_eq!((census.lost, census.reported), (0, 0), "{census:?}");
    // Of the stamp, the position is only a hint; the header is padded.
    assert!(census.refused > 1000, "{census:?}");
}

#[test]
fn every_flipped_bit_of_the_manifest_is_harmless_or_refused() {
    let specimen = Specimen::new(2, b"the last value");
    let census = flip_all(&specimen, &specimen.file("MANIFEST_"), true);
    assert_eq!((census.lost, census.reported), (0, 0), "{census:?}");
    assert!(census.refused > 1000, "{census:?}");
}

#[test]
fn every_flipped_byte_of_a_table_is_refused_or_reported() {
    let specimen = Specimen::new(2, b"the last value");
    for start in ["sst_", "compacted_"] {
        let census = flip_all(&specimen, &specimen.file(start), false);
        assert_eq!((census.lost, census.identical), (0, 0), "{census:?}");
        assert!(census.refused > 100 && census.reported > 100, "{census:?}");
    }
}

/// One bit, the type of a record, at four of 64 places of its header in a line:
/// without it the end of that line is zero as after a tear. The length in the
/// damaged header still leads to the next record, which proves durability.
#[test]
fn rot_of_a_records_type_never_passes_for_a_tear() {
    for len in 0..64 {
        let disk = SimDisk::new(11);
        let engine = open(&disk, options());
        let first = vec![b'x'; len];
        for (key, value) in [("a", &first[..]), ("b", b"second"), ("c", b"third")] {
            engine.put(key.as_bytes(), value).unwrap();
        }
        let image = disk.crash(CrashChoice::All);
        let second = LOG_HEADER_BYTES + STAMP_BYTES + 20 + 13 + 5 + len;
        image.corrupt("wal.log", second as u64 + 12, 1);
        let outcome = Engine::open_in(image.env(), options()).map(|_| ());
        let error = outcome.expect_err("the third record proves that the second was durable");
        assert_eq!(named_file(&error, "rot"), "wal.log", "length {len}");
    }
}
