//! Manifests and segments whose checksums are right and that cannot be meant:
//! refused, with the file and the place.

use kv_core::{FileKind, SeqNo};
use kv_engine::{Engine, Error, VersionEdit, WriteBatch, current_manifest};
use kv_env::SimDisk;
use kv_wal::LogWriter;

use crate::support::{generations, open, tiny};

fn refusal(disk: &SimDisk) -> Error {
    match Engine::open_in(disk.env(), tiny()) {
        Ok(_) => panic!("it opens"),
        Err(error) => error,
    }
}

/// A database with some writes in the log, killed.
fn killed() -> SimDisk {
    let disk = SimDisk::new(3);
    let engine = open(&disk, tiny());
    for number in 0..5u32 {
        engine.put(&number.to_be_bytes(), b"value").unwrap();
    }
    let killed = disk.kill(disk.op_count());
    std::mem::forget(engine);
    killed
}

/// Replaces the log file `name` by one of the same identity with other records;
/// each is made for its place in the stream.
fn forge(disk: &SimDisk, name: &str, kind: FileKind, records: &[&dyn Fn(u64) -> Vec<u8>]) {
    let header = kv_wal::read_header(&*disk.fs(), name, kind).unwrap();
    let forgery = SimDisk::new(4);
    let mut log = LogWriter::create(&*forgery.fs(), name, header, 64 << 10).unwrap();
    for record in records {
        let lsn = log.end().0;
        log.append(&record(lsn)).unwrap();
    }
    log.sync().unwrap();
    disk.write_file(name, &forgery.read_file(name).unwrap());
}

#[test]
fn an_edit_of_another_time_or_of_no_sense_is_refused_at_its_place() {
    let impossible = VersionEdit { removed: vec![(9, 77)], ..VersionEdit::default() };
    let later = VersionEdit { keyspace: 3, ..VersionEdit::default() };
    for (edit, is_damage) in [(impossible, true), (later, false)] {
        let disk = killed();
        let name = current_manifest(&disk.env()).unwrap().unwrap();
        let header = kv_wal::read_header(&*disk.fs(), &name, FileKind::Manifest).unwrap();
        let first = kv_engine::read_manifest_edits(&*disk.fs(), &name).unwrap().remove(0);
        let encode = |edit: &VersionEdit, lsn| edit.encode(header.seed(), lsn).unwrap();
        let (snapshot, forged) = (|lsn| encode(&first, lsn), |lsn| encode(&edit, lsn));
        forge(&disk, &name, FileKind::Manifest, &[&snapshot, &forged]);
        match refusal(&disk) {
            Error::Corruption { file, offset, what } if is_damage => {
                assert!(file == name && offset > 4096 && what.contains("level"), "{what}");
            }
            Error::Unsupported { file, .. } if !is_damage => assert_eq!(file, name),
            error => panic!("{error}"),
        }
    }
}

#[test]
fn a_log_whose_numbers_jump_is_refused() {
    let batch = |first: u64| {
        move |_| {
            let mut batch = WriteBatch::new();
            batch.put(b"key", b"value").unwrap();
            batch.seal(SeqNo(first)).to_vec()
        }
    };
    for (second, is_sound) in [(2, true), (1, false), (3, false), (0, false)] {
        let disk = killed();
        forge(&disk, "wal.log", FileKind::Wal, &[&batch(1), &batch(second)]);
        if is_sound {
            drop(open(&disk, tiny()));
            continue;
        }
        let Error::Corruption { file, offset, what } = refusal(&disk) else { panic!("{second}") };
        assert_eq!(
            what,
            format!("sequence numbers jump to {second}: a part of the log is missing")
        );
        assert!(file == "wal.log" && offset > 4096 + 16, "{file} at {offset}");
    }
}

#[test]
fn two_copies_of_a_segment_are_refused() {
    let disk = killed();
    disk.write_file("wal_000077.log", &disk.read_file("wal.log").unwrap());
    let Error::Corruption { offset: 40, what, .. } = refusal(&disk) else { panic!() };
    assert!(what.contains("has the same segment id"), "{what}");
}

/// A file that stands under the name of an older manifest does not give way to
/// the one before that: it is newer than both.
#[test]
fn a_manifest_under_the_name_of_an_older_one_is_refused() {
    let (disk, kept) = generations(5);
    let [(first, oldest), (second, _), (third, newest)] = &kept[..] else { panic!() };
    assert!(first < second && second < third, "every open makes a manifest");
    disk.fs().remove(third).unwrap();
    disk.write_file(first, oldest);
    disk.write_file(second, newest);
    let error = refusal(&disk);
    let Error::Corruption { file, offset: 40, .. } = &error else { panic!("{error}") };
    assert_eq!(file, second);
}
