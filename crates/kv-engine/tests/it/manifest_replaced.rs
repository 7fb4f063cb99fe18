//! A manifest that rots while it is in use is replaced while memory still knows
//! what it said: the next open would refuse it.

use std::sync::Arc;

use kv_engine::{Engine, Env, Error, current_manifest, verify_directory};
use kv_env::{Failure, Fault, FaultFs, Operation, SimDisk};

use crate::support::{contents, open, settle, tiny};

const FIRST: &str = "MANIFEST_000001";
const FRESH: &str = "MANIFEST_000002";
const KEPT: &str = "quarantine/MANIFEST_000001";

/// Tables, a frozen memory table and an active one.
fn specimen() -> (SimDisk, Engine) {
    let disk = SimDisk::new(7);
    let engine = open(&disk, tiny());
    for number in 0..21u8 {
        engine.put(&[number], &[b'v'; 30]).unwrap();
    }
    settle(&engine);
    engine.put(b"unflushed", b"value").unwrap();
    assert_eq!(manifest(&disk), FIRST);
    (disk, engine)
}

fn manifest(disk: &SimDisk) -> String {
    current_manifest(&disk.env()).unwrap().unwrap()
}

fn pass(engine: &Engine) {
    while engine.scrub_step().unwrap() {}
}

fn length(disk: &SimDisk, name: &str) -> usize {
    disk.read_file(name).unwrap().iter().rposition(|&byte| byte != 0).unwrap()
}

/// Wherever it rots: in its header, its snapshot or an edit.
#[test]
fn rot_in_the_manifest_in_use_is_mended_and_the_old_bytes_are_kept() {
    let (disk, _engine) = specimen();
    let length = length(&disk, FIRST);
    for offset in [0, 30, 70, 2000].into_iter().chain((4096..=length).step_by(41)) {
        let (disk, engine) = specimen();
        let expected = contents(&engine);
        disk.corrupt(FIRST, offset as u64, 1 << (offset % 8));
        let damaged = disk.read_file(FIRST).unwrap();
        pass(&engine);
        let what = format!("byte {offset}");
        let [finding] = &engine.scrub_findings()[..] else { panic!("{what}") };
        assert_eq!(finding.file, FIRST, "{what}");
        assert!(finding.what.contains(&format!("kept as {KEPT}")), "{what}: {finding:?}");
        assert_eq!(engine.stats().manifests_replaced, 1, "{what}");
        assert_eq!(manifest(&disk), FRESH, "{what}");
        assert_eq!(disk.read_file(KEPT).unwrap(), damaged, "{what}");
        pass(&engine);
        assert_eq!(engine.stats().manifests_replaced, 1, "{what}: once");
        assert_eq!(engine.scrub_findings().len(), 1, "{what}");
        // The engine goes on with it, and so does the next one.
        engine.put(b"later", b"value").unwrap();
        engine.flush().unwrap();
        engine.close().unwrap();
        assert_eq!(verify_directory(&disk.env(), true).unwrap().problems, [], "{what}");
        let engine = open(&disk, tiny());
        assert_eq!(contents(&engine).len(), expected.len() + 1, "{what}");
        assert_eq!(engine.stats().scrub_tables_left, 0, "{what}: the pass had ended");
        pass(&engine);
        assert_eq!(engine.scrub_findings(), [], "{what}");
    }
}

#[test]
fn a_power_cut_anywhere_in_the_replacement_loses_nothing() {
    let (disk, engine) = specimen();
    let (expected, begin) = (contents(&engine), disk.op_count());
    disk.corrupt(FIRST, 4200, 1);
    pass(&engine);
    assert_eq!(manifest(&disk), FRESH);
    let (mut refused, mut opened) = (0, 0);
    for op in begin + 1..=disk.op_count() {
        for (choice, image) in disk.images(op) {
            match Engine::open_in(image.env(), tiny()) {
                // Not yet replaced.
                Err(Error::Corruption { file, .. }) => {
                    assert_eq!(file, FIRST, "after op {op}, {choice:?}");
                    refused += 1;
                }
                Err(error) => panic!("after op {op}, {choice:?}: {error}"),
                Ok(engine) => {
                    assert_eq!(contents(&engine), expected, "after op {op}, {choice:?}");
                    opened += 1;
                }
            }
        }
    }
    assert!(refused > 0 && opened > 0, "{refused} refused, {opened} opened");
    let found = open(&disk.crash(kv_env::CrashChoice::None), tiny());
    assert_eq!(contents(&found), expected, "it is durable in the end");
}

/// Somebody has taken it away, or the device does not read it.
#[test]
fn a_manifest_that_cannot_be_read_is_written_anew() {
    let (disk, engine) = specimen();
    disk.fs().remove(FIRST).unwrap();
    pass(&engine);
    assert_eq!((manifest(&disk).as_str(), engine.stats().manifests_replaced), (FRESH, 1));
    let [finding] = &engine.scrub_findings()[..] else { panic!("{:?}", engine.scrub_findings()) };
    assert!(finding.what.ends_with("a fresh one has taken its place"), "{finding:?}");

    let (disk, engine) = specimen();
    disk.inject(Fault::new(Failure::Device).of(Operation::Read).on(FIRST));
    pass(&engine);
    assert_eq!((manifest(&disk).as_str(), engine.stats().manifests_replaced), (FRESH, 1));
    engine.close().unwrap();
    assert_eq!(verify_directory(&disk.env(), true).unwrap().problems, []);
}

/// Without space or descriptors for it, or for the directory that shall keep the
/// old one, the next edit tries again, and if there is none, the close.
#[test]
fn a_replacement_without_room_is_made_later() {
    for (failure, operation) in [
        (Failure::NoSpace, Operation::Create),
        (Failure::TooManyOpenFiles, Operation::Create),
        (Failure::NoSpace, Operation::CreateDir),
    ] {
        for at_close in [false, true] {
            let what = format!("{failure:?} {operation:?} {at_close}");
            let (disk, engine) = specimen();
            disk.corrupt(FIRST, 4200, 1);
            let fault = Fault::new(failure).of(operation);
            disk.inject(if operation == Operation::Create {
                fault.on("MANIFEST_*")
            } else {
                fault
            });
            pass(&engine);
            assert_eq!(engine.scrub_findings().len(), 1, "{what}");
            assert_eq!(engine.stats().manifests_replaced, 0, "{what}");
            assert!(!engine.stats().poisoned, "{what}");
            disk.clear_faults();
            if !at_close {
                engine.flush().unwrap();
                assert_eq!(engine.stats().manifests_replaced, 1, "{what}");
            }
            let expected = contents(&engine);
            engine.close().unwrap();
            assert_eq!(engine.stats().manifests_replaced, 1, "{what}");
            assert_eq!(contents(&open(&disk, tiny())), expected, "{what}");
        }
    }
}

/// An operator has put a file there, or mounted another disk.
#[test]
fn a_quarantine_that_is_no_usual_directory_does_not_end_writing() {
    let (disk, engine) = specimen();
    disk.write_file("quarantine", b"a file");
    disk.corrupt(FIRST, 4200, 1);
    pass(&engine);
    engine.put(b"later", b"value").unwrap();
    assert_eq!(engine.stats().manifests_replaced, 0);

    let disk = SimDisk::new(7);
    let fs = FaultFs::hooked(disk.fs(), |operation, name| match operation {
        Operation::Rename if name == FIRST => {
            Err(Error::io("rename", name, std::io::ErrorKind::CrossesDevices.into()))
        }
        _ => Ok(()),
    });
    let env = Env { fs: Arc::new(fs), ..disk.env() };
    let engine = Engine::open_in(env, tiny()).unwrap();
    engine.put(b"key", b"value").unwrap();
    disk.corrupt(FIRST, 4200, 1);
    let damaged = disk.read_file(FIRST).unwrap();
    pass(&engine);
    assert_eq!((manifest(&disk).as_str(), engine.stats().manifests_replaced), (FRESH, 1));
    assert_eq!((disk.read_file(KEPT).unwrap(), disk.read_file(FIRST)), (damaged, None));
    engine.put(b"later", b"value").unwrap();
}

/// Which of the two counts is not known then.
#[test]
fn a_replacement_that_fails_ends_the_writing() {
    for (operation, name) in [(Operation::Sync, FRESH), (Operation::Rename, FIRST)] {
        let (disk, engine) = specimen();
        let expected = contents(&engine);
        disk.corrupt(FIRST, 4200, 1);
        disk.inject(Fault::new(Failure::Device).of(operation).on(name));
        pass(&engine);
        let refused = engine.put(b"later", b"value");
        assert!(matches!(refused, Err(Error::Poisoned { .. })), "{operation:?}: {refused:?}");
        assert_eq!(contents(&engine), expected, "{operation:?}: reads go on");
        drop(engine);
        disk.clear_faults();
        if operation == Operation::Rename {
            assert_eq!(contents(&open(&disk, tiny())), expected, "the fresh one is whole");
        }
    }
}
