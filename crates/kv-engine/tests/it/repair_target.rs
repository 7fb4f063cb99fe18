//! A repair whose target takes no more files.

use kv_engine::{RepairOptions, repair};
use kv_env::{Failure, Fault, Operation, SimDisk};

use crate::support::{open, tiny};

fn damaged() -> SimDisk {
    let disk = SimDisk::new(9);
    let engine = open(&disk, tiny());
    engine.put(b"key", &[b'v'; 300]).unwrap();
    engine.flush().unwrap();
    engine.close().unwrap();
    disk.corrupt("sst_000001.db", 200, 1);
    disk
}

/// A mended bug: whatever kept damaged bytes from being set aside was passed over,
/// and the repair called itself done.
#[test]
fn damaged_bytes_that_cannot_be_set_aside_are_an_error() {
    let target = SimDisk::new(10);
    let report = repair(&damaged().env(), &target.env(), &RepairOptions::default()).unwrap();
    let kept =
        report.files.iter().flat_map(|file| &file.damage).filter_map(|part| part.kept_as.as_ref());
    assert_eq!(kept.count(), 1, "{report}");
    for failure in [Failure::NoSpace, Failure::Device] {
        let target = SimDisk::new(10);
        target.inject(Fault::new(failure).of(Operation::Create).on("quarantine/*"));
        let outcome = repair(&damaged().env(), &target.env(), &RepairOptions::default());
        assert!(outcome.is_err(), "{failure:?}: {outcome:?}");
    }
}
