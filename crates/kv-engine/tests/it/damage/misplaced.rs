//! Files that are missing, cut, or not the ones that belong there.

use kv_engine::{Engine, Error};
use kv_env::{CrashChoice, SimDisk};

use super::{LOG_HEADER_BYTES, Outcome, Specimen, interesting, options};
use crate::support::{open, settle};

const LAST: &[u8] = b"the last value";

/// Length of an end mark.
const END_MARK_BYTES: usize = 20;

fn refusal(disk: &SimDisk) -> Error {
    match Engine::open_in(disk.env(), options()) {
        Err(error) => error,
        Ok(_) => panic!("the database opens"),
    }
}

/// A database of the same shape that is another one.
fn stranger() -> Specimen {
    let disk = SimDisk::new(99);
    let engine = open(&disk, options());
    for number in 0..20u8 {
        engine.put(&[number], b"of another database").unwrap();
    }
    settle(&engine);
    Specimen { disk: disk.crash(CrashChoice::All), states: Vec::new() }
}

#[test]
fn each_missing_file_is_named() {
    let specimen = Specimen::new(3, LAST);
    for name in specimen.files() {
        let disk = specimen.copy();
        disk.fs().remove(&name).unwrap();
        let outcome = specimen.examine(&disk, &format!("without {name}"));
        let Outcome::Refused(file) = outcome else { panic!("without {name}: {outcome:?}") };
        let message = refusal(&disk).to_string();
        match name.as_str() {
            "wal.log" => assert_eq!(file, "wal_000006.log", "its name were it sealed"),
            manifest if manifest.starts_with("MANIFEST") => {
                assert!(message.contains("no valid manifest"), "{message}");
            }
            other => assert_eq!(file, other),
        }
    }
}

#[test]
fn a_missing_file_without_data_is_made_again() {
    let specimen = Specimen::new(1, LAST);
    for name in ["LOCK", "RESERVE"] {
        let disk = specimen.copy();
        disk.fs().remove(name).unwrap();
        let engine = open(&disk, options());
        assert_eq!(specimen.question(&engine, &format!("without {name}")), Outcome::Identical);
        assert!(disk.read_file(name).is_some(), "{name}");
    }
}

/// A sealed segment lacks nothing: if it ends early it was cut, even if nothing
/// was written to its successor yet.
#[test]
fn a_sealed_segment_cut_anywhere_is_refused() {
    for active in [0, 2] {
        let specimen = Specimen::new(active.max(1), LAST);
        let name = specimen.file("wal_0");
        let whole = specimen.bytes(&name);
        let mut silent = Vec::new();
        for len in interesting(&whole) {
            let disk = specimen.with_file(&name, &whole[..len]);
            let outcome = specimen.examine(&disk, &format!("{name} cut to {len} bytes"));
            match outcome {
                Outcome::Refused(_) => {}
                // Records are all there, of the end mark nothing or a part.
                Outcome::Identical => assert!(len >= whole.len() - END_MARK_BYTES, "{len}"),
                other => silent.push((len, other)),
            }
        }
        assert!(silent.is_empty(), "{silent:?}");
    }
}

/// As above, with an empty successor, and cut right where a record ends too: a
/// sealed segment has an end mark.
#[test]
fn a_sealed_segment_with_an_empty_successor_is_refused_too() {
    let specimen = Specimen::sealed();
    let name = specimen.file("wal_0");
    let whole = specimen.bytes(&name);
    for len in interesting(&whole).filter(|&len| len < whole.len()) {
        let disk = specimen.with_file(&name, &whole[..len]);
        let outcome = specimen.examine(&disk, &format!("{name} cut to {len} bytes"));
        assert_eq!(outcome, Outcome::Refused(name.clone()), "{len}");
    }
}

/// A segment that a recovery found without an end mark has none; there the
/// manifest says where it ends.
#[test]
fn a_recovered_segment_cut_anywhere_is_refused() {
    let disk = SimDisk::new(12);
    let engine = open(&disk, options());
    for number in 0..4u8 {
        engine.put(&[number], LAST).unwrap();
    }
    let crashed = disk.crash(CrashChoice::All);
    drop(open(&crashed, options()));
    let disk = crashed.kill(crashed.op_count());
    let name = "wal_000001.log";
    let whole = disk.read_file(name).expect("the recovered segment");
    for len in interesting(&whole).filter(|&len| len < whole.len()) {
        let disk = disk.crash(CrashChoice::All);
        disk.write_file(name, &whole[..len]);
        let error = refusal(&disk);
        assert!(matches!(&error, Error::Corruption { file, .. } if file == name), "{error}");
    }
    assert_eq!(open(&disk, options()).get(&[3]).unwrap().unwrap(), LAST);
}

#[test]
fn a_manifest_cut_anywhere_loses_nothing_in_silence() {
    let specimen = Specimen::new(2, LAST);
    let name = specimen.file("MANIFEST_");
    let whole = specimen.bytes(&name);
    for len in interesting(&whole) {
        for zeros in [false, true] {
            let mut cut = whole[..len].to_vec();
            cut.resize(if zeros { whole.len() } else { len }, 0);
            let disk = specimen.with_file(&name, &cut);
            let outcome = specimen.examine(&disk, &format!("{name} cut to {len} bytes"));
            let is_fine = matches!(outcome, Outcome::Refused(_) | Outcome::Identical);
            assert!(is_fine, "{len}: {outcome:?}");
        }
    }
}

#[test]
fn a_table_of_another_length_is_refused() {
    let specimen = Specimen::new(1, LAST);
    let name = specimen.file("sst_");
    let whole = specimen.bytes(&name);
    for len in 0..whole.len() {
        let disk = specimen.with_file(&name, &whole[..len]);
        let outcome = specimen.examine(&disk, &format!("{name} cut to {len} bytes"));
        assert_eq!(outcome, Outcome::Refused(name.clone()));
    }
    let disk = specimen.with_file(&name, &[&whole[..], &[0]].concat());
    assert_eq!(specimen.examine(&disk, "a longer table"), Outcome::Refused(name));
}

#[test]
fn swapped_tables_are_refused() {
    let specimen = Specimen::new(1, LAST);
    let (one, other) = (specimen.file("sst_"), specimen.file("compacted_"));
    let disk = specimen.with_file(&one, &specimen.bytes(&other));
    disk.write_file(&other, &specimen.bytes(&one));
    assert!(matches!(specimen.examine(&disk, "swapped"), Outcome::Refused(_)));
}

/// Two futures of one database: the same table name and number, other content.
#[test]
fn a_table_of_another_time_is_refused() {
    let specimen = Specimen::sealed();
    let future = |value: &[u8]| {
        let disk = specimen.disk.crash(CrashChoice::Seeded(u64::from(value[0])));
        let engine = open(&disk, options());
        engine.put(b"future", value).unwrap();
        engine.flush().unwrap();
        drop(engine);
        disk
    };
    let (disk, other) = (future(b"a"), future(b"b"));
    let names: Vec<String> = disk.fs().list().unwrap().into_iter().map(|it| it.name).collect();
    let newest = names.iter().rfind(|name| name.starts_with("sst_")).unwrap();
    let copy = other.read_file(newest).expect("both have a table of that name");
    assert_eq!(copy.len(), disk.read_file(newest).unwrap().len());
    disk.write_file(newest, &copy);
    let before = disk.fingerprint();
    let error = refusal(&disk);
    assert!(matches!(&error, Error::Corruption { file, .. } if file == newest), "{error}");
    assert_eq!(disk.fingerprint(), before);
}

/// Two futures of one database: the same segment number, other writes, each of
/// them sound and in order. Only the manifest tells which one belongs here.
#[test]
fn a_segment_of_another_time_is_refused() {
    let specimen = Specimen::sealed();
    let future = |value: &[u8]| {
        let disk = specimen.disk.crash(CrashChoice::Seeded(u64::from(value[0])));
        let engine = open(&disk, options());
        engine.put(b"future", value).unwrap();
        drop(engine);
        disk
    };
    let (disk, other) = (future(b"a"), future(b"b"));
    disk.write_file("wal.log", &other.read_file("wal.log").unwrap());
    let before = disk.fingerprint();
    let error = refusal(&disk);
    let named = matches!(&error, Error::Corruption { file, offset: 48, .. } if file == "wal.log");
    assert!(named && error.to_string().contains("another copy"), "{error}");
    assert_eq!(disk.fingerprint(), before, "nothing is changed");
}

/// An older manifest comes back, of the time before the active segment was
/// made. Its writes are not dropped as leftovers.
#[test]
fn an_older_manifest_is_refused() {
    let specimen = Specimen::new(2, LAST);
    let name = specimen.file("MANIFEST_");
    let early = Specimen::sealed_before_preparing();
    assert_eq!(early.file("MANIFEST_"), name, "the same database, a little earlier");
    let disk = specimen.with_file(&name, &early.bytes(&name));
    assert!(matches!(specimen.examine(&disk, "an older manifest"), Outcome::Refused(_)));
}

#[test]
fn a_manifest_of_another_database_is_refused() {
    let (specimen, stranger) = (Specimen::new(2, LAST), stranger());
    let foreign = stranger.bytes(&stranger.file("MANIFEST_"));
    let name = specimen.file("MANIFEST_");
    let disk = specimen.with_file(&name, &foreign);
    assert!(matches!(specimen.examine(&disk, "in its place"), Outcome::Refused(_)));
    // Beside ours, with a higher number in its name, and in its header too.
    let disk = specimen.with_file("MANIFEST_000009", &foreign);
    let outcome = specimen.examine(&disk, "beside");
    assert_eq!(outcome, Outcome::Refused("MANIFEST_000009".into()));
    let stranger = SimDisk::new(98);
    for _ in 0..3 {
        open(&stranger, options()).close().unwrap();
    }
    let foreign = stranger.read_file("MANIFEST_000003").unwrap();
    let disk = specimen.with_file("MANIFEST_000003", &foreign);
    assert!(matches!(specimen.examine(&disk, "of an empty one"), Outcome::Refused(_)));
}

#[test]
fn files_of_another_database_are_refused_or_left_alone() {
    let (specimen, stranger) = (Specimen::new(2, LAST), stranger());
    let log = stranger.bytes("wal.log");
    let disk = specimen.with_file("wal_000099.log", &log);
    let outcome = specimen.examine(&disk, "a foreign segment");
    assert_eq!(outcome, Outcome::Refused("wal_000099.log".into()));

    let names = stranger.files();
    let table = names.iter().find(|name| name.ends_with(".db")).unwrap();
    let bytes = stranger.bytes(table);
    for planted in ["sst_000004.db", "compacted_000030.db", "sst_999999.db"] {
        assert!(!specimen.files().iter().any(|name| name == planted));
        let disk = specimen.with_file(planted, &bytes);
        assert_eq!(specimen.examine(&disk, planted), Outcome::Identical);
        assert_eq!(disk.read_file(planted).as_ref(), Some(&bytes), "{planted} is not ours");
    }
}

/// CRC-32C of a file header, as a later version would write it.
fn with_header_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut crc = !0u32;
    for byte in &bytes[..76] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
        }
    }
    bytes[76..80].copy_from_slice(&(!crc).to_le_bytes());
    bytes
}

#[test]
fn files_of_a_later_version_are_refused_as_such() {
    let specimen = Specimen::new(2, LAST);
    for name in specimen.files() {
        let bytes = specimen.bytes(&name);
        assert_eq!(with_header_checksum(bytes.clone()), bytes, "the test's checksum is right");
        // The version, the checksum kind, the key id, a feature bit.
        for offset in [8, 10, 12, 16, 23] {
            let mut newer = bytes.clone();
            newer[offset] += 2;
            let disk = specimen.with_file(&name, &with_header_checksum(newer));
            let what = format!("{name} with another byte {offset}");
            assert_eq!(specimen.examine(&disk, &what), Outcome::Refused(name.clone()));
            assert!(matches!(refusal(&disk), Error::Unsupported { .. }), "{what}");
        }
    }
}

#[test]
fn a_header_of_nothing_is_refused() {
    let specimen = Specimen::new(2, LAST);
    for name in specimen.files() {
        for bytes in [vec![], vec![0; LOG_HEADER_BYTES], vec![0xff; 2 * LOG_HEADER_BYTES]] {
            let disk = specimen.with_file(&name, &bytes);
            let outcome = specimen.examine(&disk, &format!("{name} of {} bytes", bytes.len()));
            assert_eq!(outcome, Outcome::Refused(name.clone()));
        }
    }
}
