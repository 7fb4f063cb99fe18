//! Values that clients choose to look like parts of our files: they are values,
//! before and after every crash.

use kv_core::FileKind;
use kv_engine::{Durability, FlushSize, Options, WriteBatch};
use kv_env::{CrashChoice, SimDisk};
use kv_wal::{LogReader, SegmentPosition};

use crate::support::{contents, open, settle, tiny};

/// Runs the same writes; `forged` is the value of the second.
fn run(forged: &[u8]) -> SimDisk {
    let disk = SimDisk::new(1);
    let engine = open(&disk, Options { reserve_bytes: Some(0), ..tiny() });
    engine.put(b"first", b"1").unwrap();
    engine.put(b"forged", forged).unwrap();
    let mut batch = WriteBatch::new();
    batch.put(b"torn", forged).unwrap();
    batch.put(b"torn too", b"2").unwrap();
    // Not synced: a power cut may tear it anywhere.
    engine.write(batch, Durability::Os).unwrap();
    std::mem::forget(engine);
    disk
}

/// What a client would send who has stolen the files of a twin of this database:
/// same identity, same segment, records and frames right where they would be.
#[test]
fn a_value_that_is_a_valid_part_of_our_files_stays_a_value() {
    let honest = run(&[b'x'; 9000]);
    let log = honest.read_file("wal.log").unwrap();
    let used = log.iter().rposition(|&byte| byte != 0).unwrap();
    let manifest = honest.fs().list().unwrap().into_iter().map(|entry| entry.name);
    let manifest = manifest.filter(|name| name.starts_with("MANIFEST")).max().unwrap();
    let manifest = honest.read_file(&manifest).unwrap();
    let pieces: [&[u8]; 5] = [
        // Whole records with their headers, from the first on.
        &log[4096 + 16..used],
        // Whole frames with stamps, shifted to where frames of the value lie.
        &log[4096..used],
        &log[used - 9000..used],
        &log[..used],
        &manifest[..8192.min(manifest.len())],
    ];
    for (index, piece) in pieces.iter().enumerate() {
        let disk = run(piece);
        let mut states = Vec::new();
        for (choice, image) in disk.images(disk.op_count()) {
            let engine = open(&image, tiny());
            let found = contents(&engine);
            let value = engine.get(b"forged").unwrap().expect("it was synced");
            assert_eq!(&*value, *piece, "piece {index}, {choice:?}");
            let torn = engine.get(b"torn").unwrap();
            assert_eq!(torn.is_some(), engine.get(b"torn too").unwrap().is_some());
            assert!(torn.is_none_or(|torn| *torn == **piece), "piece {index}, {choice:?}");
            assert!([2, 4].contains(&found.len()), "nothing else came to be: {}", found.len());
            states.push(found.len());
            settle(&engine);
            engine.compact().unwrap();
            assert_eq!(contents(&engine), found, "piece {index}, from tables");
        }
        assert!(states.contains(&2) && states.contains(&4), "piece {index}: {states:?}");
        // A kill keeps everything.
        let killed = disk.kill(disk.op_count());
        assert_eq!(contents(&open(&killed, tiny())).len(), 4, "piece {index}");
        drop(disk.crash(CrashChoice::None));
    }
}

/// Writes that many values, each synced.
fn write_honestly(count: usize) -> (SimDisk, kv_engine::Engine) {
    let disk = SimDisk::new(1);
    let engine = open(&disk, Options { memtable_flush_size: FlushSize::Entries(100), ..tiny() });
    for number in 0..count {
        engine.put(&[number as u8], &[b'x'; 300]).unwrap();
    }
    (disk, engine)
}

/// What stands at an offset of the file in the log of a twin, which went on to
/// write and to sync, stands there in the value: it proves nothing of the record
/// that holds it, be that whole or torn.
#[test]
fn records_of_a_twin_right_where_they_would_be_prove_nothing() {
    const STAMP_BYTES: usize = 16;
    let (twin, engine) = write_honestly(14);
    std::mem::forget(engine);
    let log = twin.read_file("wal.log").unwrap();
    let mut reader =
        LogReader::open(&*twin.fs(), "wal.log", FileKind::Wal, SegmentPosition::Last).unwrap();
    (0..2).for_each(|_| assert!(reader.next_record().unwrap().is_some()));
    let start = reader.next_record().unwrap().expect("the third record").file_offset as usize;
    // The header of a record and of a batch, and what is before the value of a write.
    let value_at = start + 20 + 13 + (2 + 1 + 4 + 2);
    let first_page = value_at..8192;
    let piece = [&log[first_page.clone()], &log[8192 + STAMP_BYTES..8192 + 300]].concat();

    let (disk, engine) = write_honestly(2);
    let mut batch = WriteBatch::new();
    batch.put(b"torn", &piece).unwrap();
    engine.write(batch, Durability::Os).unwrap();
    std::mem::forget(engine);
    let forged = disk.read_file("wal.log").unwrap();
    assert!(forged[first_page.clone()] == log[first_page], "the records are where they would be");
    let mut states = [0, 0];
    for (choice, image) in disk.images(disk.op_count()) {
        let engine = open(&image, tiny());
        let torn = engine.get(b"torn").unwrap();
        assert!(torn.as_deref().is_none_or(|torn| torn == piece), "{choice:?}");
        assert_eq!(contents(&engine).len(), 2 + usize::from(torn.is_some()), "{choice:?}");
        states[usize::from(torn.is_some())] += 1;
    }
    assert!(states[0] > 1 && states[1] > 0, "{states:?}");
}
