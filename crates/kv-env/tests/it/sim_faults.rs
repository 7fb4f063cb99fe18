//! What goes wrong on a simulated disk when it is told to.

use std::io::ErrorKind;

use kv_core::Error;
use kv_env::{CrashChoice, Failure, Fault, Operation, SimDisk};

use crate::support::panic_text;

#[test]
fn the_op_of_a_number_fails_and_only_that_one() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    let mut file = fs.create("a").unwrap();
    disk.inject(Fault::new(Failure::NoSpace).at_op(2));
    file.append(b"one").unwrap();
    assert!(file.append(b"two").unwrap_err().is_out_of_space());
    assert_eq!(file.position(), 3);
    file.append(b"TWO").unwrap();
    assert_eq!(disk.read_file("a").unwrap(), b"oneTWO");
    assert_eq!(disk.op_count(), 4, "a failed op has a number too");
    assert!(disk.history()[2].ends_with("failed"), "{:?}", disk.history());
}

#[test]
fn a_failed_append_leaves_any_part_of_its_bytes() {
    let left: Vec<usize> = (0..50)
        .map(|seed| {
            let disk = SimDisk::new(seed);
            let mut file = disk.fs().create("a").unwrap();
            disk.inject(Fault::new(Failure::Device).of(Operation::Append));
            assert!(file.append(&[1; 9]).is_err());
            disk.read_file("a").unwrap().len()
        })
        .collect();
    assert!(left.contains(&0) && left.contains(&9) && left.iter().any(|len| (1..9).contains(len)));
}

#[test]
fn files_of_a_name_fail_and_others_do_not() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    disk.inject(Fault::new(Failure::Device).of(Operation::Read).on("sst_*"));
    disk.write_file("sst_1.db", b"x");
    disk.write_file("wal.log", b"x");
    let table = fs.open("sst_1.db").unwrap();
    assert!(table.read_at(0, &mut [0; 1]).is_err());
    fs.open("wal.log").unwrap().read_all().unwrap();
    // The name that counts is the one that the file has now.
    fs.rename("wal.log", "sst_2.db").unwrap();
    assert!(fs.open("sst_2.db").unwrap().read_all().is_err());
    disk.clear_faults();
    table.read_all().unwrap();
}

#[test]
fn every_kind_of_failure_has_its_error() {
    for (failure, kind) in [
        // No kind of its own.
        (Failure::Device, None),
        (Failure::TooManyOpenFiles, None),
        (Failure::NoSpace, Some(ErrorKind::StorageFull)),
        (Failure::OutOfMemory, Some(ErrorKind::OutOfMemory)),
        (Failure::Quota, Some(ErrorKind::QuotaExceeded)),
        (Failure::ReadOnly, Some(ErrorKind::ReadOnlyFilesystem)),
        (Failure::Stale, Some(ErrorKind::StaleNetworkFileHandle)),
        (Failure::AccessDenied, Some(ErrorKind::PermissionDenied)),
        (Failure::FileTooLarge, Some(ErrorKind::FileTooLarge)),
        (Failure::Interrupted, Some(ErrorKind::Interrupted)),
    ] {
        let disk = SimDisk::new(1);
        disk.write_file("a", b"x");
        disk.inject(Fault::new(failure).of(Operation::Map));
        let error = disk.fs().open("a").unwrap().map().err().unwrap();
        let is_out_of_space = matches!(failure, Failure::NoSpace | Failure::Quota);
        assert_eq!(error.is_out_of_space(), is_out_of_space, "{error}");
        let Error::Io { source, .. } = &error else { panic!("{error}") };
        assert!(kind.is_none_or(|kind| source.kind() == kind), "{failure:?}: {error}");
        assert!(source.raw_os_error().is_some(), "{failure:?} comes from the system");
    }
}

#[test]
fn a_panic_leaves_a_failed_op_and_a_disk_that_works() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    let mut file = fs.create("a").unwrap();
    file.append(b"x").unwrap();
    for (operation, call) in [
        (Operation::Sync, Box::new(|| drop(file.sync())) as Box<dyn FnMut()>),
        (Operation::Rename, Box::new(|| drop(fs.rename("a", "b")))),
        (Operation::List, Box::new(|| drop(fs.list()))),
    ] {
        disk.inject(Fault::new(Failure::Panic).of(operation).times(1));
        let text = panic_text(call);
        assert!(text.starts_with("injected fault: ") && text.ends_with(" panics"), "{text}");
    }
    let failed: Vec<String> =
        disk.history().into_iter().filter(|line| line.ends_with("failed")).collect();
    assert_eq!(failed.len(), 2, "{failed:?}");
    // A sync that panicked is as uncertain as one that failed.
    file.sync().unwrap();
    fs.sync_dir().unwrap();
    assert_eq!(disk.read_file("a").unwrap(), b"x");
    assert_eq!(disk.crash(CrashChoice::None).read_file("a").unwrap(), b"");
}

#[test]
fn a_full_disk_takes_what_fits_and_heals_when_space_is_free() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    disk.set_capacity(Some(1000));
    let mut log = fs.create("wal.log").unwrap();
    log.zero_fill(600).unwrap();
    assert_eq!(fs.free_space().unwrap(), 400);
    let mut table = fs.create("sst_1.db").unwrap();
    assert!(table.append(&[1; 500]).unwrap_err().is_out_of_space());
    assert_eq!(disk.read_file("sst_1.db").unwrap().len(), 400);
    assert_eq!(fs.free_space().unwrap(), 0);
    // Overwriting zeros needs no space.
    log.append(&[2; 600]).unwrap();
    assert!(log.append(&[2; 1]).unwrap_err().is_out_of_space());
    fs.remove("sst_1.db").unwrap();
    assert!(log.append(&[2; 1]).unwrap_err().is_out_of_space(), "it is still open");
    drop(table);
    log.append(&[2; 1]).unwrap();
    assert_eq!(fs.free_space().unwrap(), 399);
}

#[test]
fn changing_a_mapped_file_is_noticed() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    let mut file = fs.create("sst_1.db").unwrap();
    file.append(b"x").unwrap();
    let early = fs.open("sst_1.db").unwrap().map().unwrap();
    assert_eq!(disk.violations().len(), 1, "it was mapped before it was sealed");
    file.append(b"y").unwrap();
    assert_eq!(disk.violations().len(), 2, "{:?}", disk.violations());
    assert_eq!(early.bytes(), b"x");
    drop(early);

    file.seal().unwrap();
    let map = fs.open("sst_1.db").unwrap().map().unwrap();
    fs.rename("sst_1.db", "sst_2.db").unwrap();
    fs.remove("sst_2.db").unwrap();
    assert_eq!(disk.violations().len(), 2, "names may change under a map");
    assert_eq!(map.bytes(), b"xy");

    disk.write_file("wal.log", b"abc");
    let map = fs.open("wal.log").unwrap().map().unwrap();
    fs.truncate("wal.log", 1).unwrap();
    assert_eq!(disk.violations().len(), 3);
    drop(map);
    fs.truncate("wal.log", 0).unwrap();
    assert_eq!(disk.violations().len(), 3, "the map is gone");
}

#[test]
fn a_failed_change_of_a_name_changes_nothing() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    disk.write_file("a", b"x");
    disk.inject(Fault::new(Failure::Device));
    assert!(fs.rename("a", "b").is_err() && fs.remove("a").is_err());
    assert!(fs.create("c").is_err() && fs.create_dir("d").is_err());
    disk.clear_faults();
    assert_eq!(fs.list().unwrap().len(), 1);
    assert_eq!(disk.crash(CrashChoice::All).read_file("a").unwrap(), b"x");
}

#[test]
fn a_failed_sync_is_found_in_the_log_and_a_failed_write_is_none() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    let mut file = fs.create("a").unwrap();
    disk.inject(Fault::new(Failure::Device).of(Operation::Append).times(1));
    assert!(file.append(b"one").is_err());
    file.sync().unwrap();
    fs.sync_dir().unwrap();
    assert_eq!(disk.first_failed_sync(0), None);
    let before = disk.op_count();
    disk.inject(Fault::new(Failure::Panic).of(Operation::Sync).times(1));
    assert!(panic_text(|| drop(file.sync())).contains("sync"));
    disk.inject(Fault::new(Failure::Interrupted).of(Operation::SyncDir).times(1));
    assert!(fs.sync_dir().is_err());
    assert_eq!(disk.first_failed_sync(0), Some(before));
    assert_eq!(disk.first_failed_sync(before), Some(before));
    assert_eq!(disk.first_failed_sync(before + 1), Some(before + 1));
    assert_eq!(disk.first_failed_sync(before + 2), None);
    // The numbers of a killed machine go on, and its log begins there.
    let killed = disk.kill(before + 1);
    assert_eq!(killed.first_failed_sync(0), None);
}
