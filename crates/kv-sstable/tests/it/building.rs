//! What a builder accepts, and what it leaves on the disk.

use std::sync::Arc;

use kv_core::{Error, FileHeader, FileKind, Kind, MAX_KEY_BYTES, SeqNo};
use kv_env::{Failure, Fault, FaultFs, Fs, Operation, SimDisk};
use kv_sstable::{ReadMode, TableBuilder, TableOptions};

use crate::support::{
    FILE_ID, MODES, NAME, accounts, build, build_as, forwards, header, is_damage, open, put,
};

fn create(fs: &dyn Fs) -> TableBuilder {
    TableBuilder::create(fs, NAME, header(FILE_ID), TableOptions::default()).unwrap()
}

#[test]
fn refused_entries_add_nothing() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    let mut builder = create(&*fs);
    builder.add(b"b", SeqNo(1), Kind::Put, b"1").unwrap();
    let long_key = vec![b'z'; MAX_KEY_BYTES + 1];
    for (key, kind, value) in
        [(&b"a"[..], Kind::Put, &b""[..]), (b"b", Kind::Put, b""), (b"c", Kind::Delete, b"value")]
    {
        let error = builder.add(key, SeqNo(2), kind, value).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    }
    let error = builder.add(&long_key, SeqNo(2), Kind::Put, b"").unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    builder.add(&long_key[1..], SeqNo(3), Kind::Put, b"3").unwrap();
    assert_eq!(builder.entries(), 2);
    builder.finish().unwrap();
    let table = open(&*fs, ReadMode::Map).unwrap();
    let expected = [put("b", 1, "1"), put(&long_key[1..], 3, "3")];
    assert_eq!(forwards(&mut table.cursor(kv_sstable::CursorPurpose::Read)).unwrap(), expected);
}

#[test]
fn a_table_without_entries_is_refused() {
    let disk = SimDisk::new(1);
    let error = create(&*disk.fs()).finish().unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
}

#[test]
fn an_abandoned_table_leaves_no_file() {
    let disk = SimDisk::new(1);
    let mut builder = create(&*disk.fs());
    builder.add(b"a", SeqNo(1), Kind::Put, &[1; 400_000]).unwrap();
    builder.abandon(&*disk.fs()).unwrap();
    assert_eq!(disk.fs().list().unwrap(), []);
}

#[test]
fn options_out_of_range_are_refused() {
    let disk = SimDisk::new(1);
    let good = TableOptions::default();
    for options in [
        TableOptions { block_bytes: 0, ..good.clone() },
        TableOptions { block_bytes: 65_537, ..good.clone() },
        TableOptions { restart_interval: 0, ..good.clone() },
        TableOptions { restart_interval: 256, ..good.clone() },
        TableOptions { filter_bits_per_key: 33, ..good.clone() },
        TableOptions { sync_every_bytes: 0, ..good.clone() },
    ] {
        let created = TableBuilder::create(&*disk.fs(), NAME, header(FILE_ID), options);
        assert!(matches!(created.err(), Some(Error::InvalidArgument(_))));
    }
    let wal = FileHeader { kind: FileKind::Wal, ..header(FILE_ID) };
    let created = TableBuilder::create(&*disk.fs(), NAME, wal, good);
    assert!(matches!(created.err(), Some(Error::InvalidArgument(_))));
    assert_eq!(disk.fs().list().unwrap(), [], "nothing was created");
}

#[test]
fn a_builder_never_leaves_more_unsynced_than_asked() {
    let disk = SimDisk::new(1);
    let fs = FaultFs::new(disk.fs());
    let options = TableOptions { sync_every_bytes: 1 << 19, ..TableOptions::default() };
    let mut builder = TableBuilder::create(&fs, NAME, header(FILE_ID), options).unwrap();
    for number in 0..4000_u64 {
        let key = format!("key{number:08}");
        builder.add(key.as_bytes(), SeqNo(number), Kind::Put, &[7; 1000]).unwrap();
    }
    builder.add(b"large", SeqNo(4000), Kind::Put, &[7; 3 << 20]).unwrap();
    let estimate = builder.size_bytes_estimate();
    let file_bytes = builder.finish().unwrap().file_bytes;
    assert!(estimate.abs_diff(file_bytes) < file_bytes / 50, "{estimate} of {file_bytes}");
    let chunks = file_bytes.div_ceil(256 << 10);
    assert_eq!(fs.count(Operation::Append), chunks);
    assert_eq!(fs.count(Operation::Sync), file_bytes / (1 << 19));
    assert_eq!(fs.count(Operation::Seal), 1, "which syncs the rest");
}

#[test]
fn a_failed_write_is_repeated_for_every_later_call() {
    for operation in [Operation::Append, Operation::Sync] {
        let disk = SimDisk::new(1);
        let fs = FaultFs::new(disk.fs());
        let options = TableOptions { sync_every_bytes: 1, ..TableOptions::default() };
        let mut builder = TableBuilder::create(&fs, NAME, header(FILE_ID), options).unwrap();
        fs.inject(Fault::new(Failure::NoSpace).of(operation).times(1));
        let error = builder.add(b"a", SeqNo(1), Kind::Put, &[1; 600_000]).unwrap_err();
        assert!(error.is_out_of_space(), "{error}");
        let error = builder.add(b"b", SeqNo(2), Kind::Put, &[1; 600_000]).unwrap_err();
        assert!(error.is_out_of_space(), "the file has a hole: {error}");
        let error = builder.finish().unwrap_err();
        assert!(error.is_out_of_space(), "{error}");
        assert!(is_damage(&open(&fs, ReadMode::Map).unwrap_err()));
    }
}

#[test]
fn an_error_of_any_call_ends_in_an_error_or_in_a_whole_table() {
    let entries = accounts(60);
    let options =
        TableOptions { block_bytes: 256, sync_every_bytes: 600, ..TableOptions::default() };
    let count_calls = || {
        let disk = SimDisk::new(1);
        build(&*disk.fs(), &options, &entries);
        disk.op_count()
    };
    for op in 0..count_calls() {
        let disk = SimDisk::new(1);
        disk.inject(Fault::new(Failure::Device).at_op(op));
        let fs: Arc<dyn Fs> = disk.fs();
        let built = build_as(&*fs, NAME, header(FILE_ID), &options, &entries);
        assert!(built.is_err(), "op {op} failed unnoticed");
    }
}

#[test]
fn after_a_power_cut_a_table_is_whole_or_refused() {
    let entries = accounts(60);
    let options =
        TableOptions { block_bytes: 256, sync_every_bytes: 600, ..TableOptions::default() };
    let disk = SimDisk::new(3);
    let fs = disk.fs();
    build(&*fs, &options, &entries);
    fs.sync_dir().unwrap();
    let (mut whole, mut refused) = (0, 0);
    for op in 0..=disk.op_count() {
        for (choice, image) in disk.images(op) {
            if image.read_file(NAME).is_none() {
                continue;
            }
            for mode in MODES {
                let opened = open(&*image.fs(), mode);
                match opened.and_then(|table| table.verify(true)) {
                    Ok(report) => {
                        assert_eq!(report.entries, 60, "op {op}, {choice:?}");
                        whole += 1;
                    }
                    Err(error) => {
                        assert!(is_damage(&error), "op {op}, {choice:?}: {error}");
                        assert!(op < disk.op_count(), "a finished table was lost: {choice:?}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(whole > 0 && refused > 0, "both ends were seen: {whole}, {refused}");
}
