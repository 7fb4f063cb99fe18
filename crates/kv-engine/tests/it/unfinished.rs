//! What a crash has left half made, met by an open that may not go on.

use kv_engine::{Engine, Error, Options, current_manifest, read_manifest_edits};
use kv_env::{DeviceFault, SimDisk};

use crate::support::{open, tiny};

/// A manifest without its first record is all that a creation got to.
#[test]
fn only_an_unfinished_manifest_and_no_leave_to_create() {
    let whole = SimDisk::new(3);
    drop(open(&whole, tiny()));
    let name = current_manifest(&whole.env()).unwrap().unwrap();
    let mut bytes = whole.read_file(&name).unwrap();
    bytes.resize(4096, 0);
    let disk = SimDisk::new(4);
    disk.write_file(&name, &bytes);
    let existing_only = Options { create_if_missing: false, ..tiny() };
    let error = Engine::open_in(disk.env(), existing_only).map(|_| ()).unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert!(error.to_string().contains("there is no database here"), "{error}");
    assert_eq!(disk.read_file(&name), Some(bytes), "nothing has changed");
    assert!(open(&disk, tiny()).recovery_report().created);
}

/// A prepared segment that the manifest does not know yet holds no record. If
/// the device cannot tell, that is an error of the device, and not a leftover
/// to be removed.
#[test]
fn a_surplus_segment_that_cannot_be_read_is_an_error() {
    let disk = SimDisk::new(5);
    let engine = open(&disk, tiny());
    let from = disk.op_count();
    (0..8u8).for_each(|number| assert!(engine.put(&[number], b"value").is_ok()));
    engine.run_background_step().unwrap();
    let name = "wal_next.log";
    let mut met = 0;
    for op in from..=disk.op_count() {
        let image = disk.kill(op);
        let Some(bytes) = image.read_file(name).filter(|bytes| bytes.len() > 4096) else {
            continue;
        };
        let id = u64::from_le_bytes(bytes[40..48].try_into().unwrap());
        let manifest = current_manifest(&image.env()).unwrap().unwrap();
        let edits = read_manifest_edits(&*image.fs(), &manifest).unwrap();
        if edits.iter().any(|edit| edit.newest_segment >= Some(id)) {
            continue;
        }
        met += 1;
        image.inject_device(DeviceFault::unreadable(4096..u64::MAX).on(name));
        let error = Engine::open_in(image.env(), tiny()).map(|_| ()).unwrap_err();
        let is_named = matches!(&error, Error::Io { path, .. } if path.contains(name));
        assert!(is_named, "after op {op}: {error}");
        assert_eq!(image.read_file(name), Some(bytes), "it is still there");
        image.clear_faults();
        drop(open(&image, tiny()));
    }
    assert!(met > 0);
}
