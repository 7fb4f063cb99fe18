//! Values that clients choose to look like parts of our files: they are values,
//! before and after every crash.

use kv_engine::{Durability, Options, WriteBatch};
use kv_env::{CrashChoice, SimDisk};

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
