//! A scrub beside other work: files that change their names or go while it is
//! about to read them, calls that fail, and an engine that writes no more.

use std::sync::Arc;
use std::time::Duration;

use kv_engine::{Background, Engine, Options, ScrubFinding, current_manifest};
use kv_env::{DeviceFault, Env, Failure, Fault, FaultFs, Operation, SimDisk};

use crate::interposed::Interposed;
use crate::support::{open, settle, tiny};

const SEGMENT: &str = "wal_000001.log";

/// A disk with a sealed segment whose writes are in no table.
fn specimen() -> SimDisk {
    let disk = SimDisk::new(7);
    let engine = open(&disk, tiny());
    engine.put(b"first", b"value").unwrap();
    engine.close().unwrap();
    drop(open(&disk, tiny()));
    assert!(disk.read_file(SEGMENT).is_some());
    disk
}

fn pass(engine: &Engine) -> Vec<ScrubFinding> {
    while engine.scrub_step().unwrap() {}
    engine.scrub_findings()
}

#[test]
fn a_segment_that_a_flush_removes_at_that_moment_is_passed_over() {
    let disk = specimen();
    let (fs, env) = Interposed::on(&disk);
    let engine = Arc::new(Engine::open_in(env, tiny()).unwrap());
    let flushing = Arc::clone(&engine);
    fs.before(Operation::Open, SEGMENT, move || flushing.flush().unwrap());
    assert_eq!(pass(&engine), []);
    assert_eq!(fs.acts_left(), 0);
    assert!(disk.read_file(SEGMENT).is_none(), "its writes are in a table");
    assert_eq!(engine.get(b"first").unwrap().unwrap(), b"value"[..]);
}

/// Every edit makes a new manifest here. One that takes the place of the one that
/// was about to be read is read instead; if that goes as well, it is for the next
/// pass.
#[test]
fn a_manifest_that_is_replaced_at_that_moment_is_no_finding() {
    for replacements in [1, 2] {
        let disk = SimDisk::new(8);
        let (fs, env) = Interposed::on(&disk);
        let options = Options { manifest_edit_bytes: 0, ..tiny() };
        let engine = Arc::new(Engine::open_in(env, options).unwrap());
        let before = current_manifest(&disk.env()).unwrap().unwrap();
        for number in 0..replacements {
            let flushing = Arc::clone(&engine);
            fs.before(Operation::Open, "MANIFEST_", move || {
                flushing.put(&[number], b"value").unwrap();
                flushing.flush().unwrap();
            });
        }
        assert_eq!(pass(&engine), [], "{replacements}");
        assert_eq!(fs.acts_left(), 0);
        assert_ne!(current_manifest(&disk.env()).unwrap().unwrap(), before);
        assert_eq!(engine.stats().scrubbed_log_bytes > 0, replacements == 1);
        pass(&engine);
        assert!(engine.stats().scrubbed_log_bytes > 0);
    }
}

#[test]
fn without_a_descriptor_for_a_log_the_scrub_waits_and_misses_nothing() {
    for name in [SEGMENT, "MANIFEST_*"] {
        let disk = specimen();
        let engine = open(&disk, tiny());
        let manifest = current_manifest(&disk.env()).unwrap().unwrap();
        let rotten = if name == SEGMENT { SEGMENT } else { &manifest };
        disk.corrupt(rotten, 4130, 1);
        let full = Fault::new(Failure::TooManyOpenFiles).of(Operation::Open);
        disk.inject(full.on(name).times(1));
        let error = engine.scrub_step().unwrap_err();
        assert!(error.is_out_of_descriptors(), "{error}");
        assert_eq!(engine.scrub_findings(), []);
        let found = pass(&engine);
        assert!(matches!(&found[..], [finding] if finding.file == rotten), "{found:?}");
    }
}

/// That memory is lacking for a read says nothing of the file, whichever read it
/// is: above all no sound manifest is replaced.
#[test]
fn without_memory_for_a_read_of_a_log_the_scrub_waits_and_misses_nothing() {
    let mut waits = 0;
    for (name, is_rotten) in [(SEGMENT, false), (SEGMENT, true), ("MANIFEST_*", false)] {
        for reads_before in 0..8 {
            let disk = specimen();
            let engine = open(&disk, tiny());
            let manifest = current_manifest(&disk.env()).unwrap().unwrap();
            if is_rotten {
                disk.corrupt(SEGMENT, 4130, 1);
            }
            let full = Fault::new(Failure::OutOfMemory).of(Operation::Read).on(name);
            disk.inject(full.after(reads_before));
            let outcome = engine.scrub_step();
            disk.clear_faults();
            let what = format!("{name} after {reads_before} reads: {outcome:?}");
            if let Err(error) = outcome {
                assert!(error.is_out_of_resources(), "{what}");
                assert!(is_rotten || engine.scrub_findings().is_empty(), "{what}");
                waits += 1;
            }
            let found = pass(&engine);
            assert_eq!(found.len(), usize::from(is_rotten), "{what}: {found:?}");
            assert_eq!(engine.stats().manifests_replaced, 0, "{what}");
            assert_eq!(current_manifest(&disk.env()).unwrap().unwrap(), manifest, "{what}");
        }
    }
    assert!(waits >= 6, "{waits}");
}

#[test]
fn sectors_of_a_log_that_the_device_cannot_read_are_named() {
    let disk = specimen();
    let engine = open(&disk, tiny());
    disk.inject_device(DeviceFault::unreadable(4096..4608).on(SEGMENT));
    let found = pass(&engine);
    let unreadable = found.iter().find(|finding| finding.what.contains("device cannot read"));
    let finding = unreadable.unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!((finding.file.as_str(), finding.offset), (SEGMENT, 4096));
    assert!(!engine.stats().poisoned);
}

#[test]
fn a_log_that_becomes_shorter_while_it_is_read_is_a_finding() {
    let disk = specimen();
    // A copy of the file, as an administrator makes it: not read-only any more.
    disk.write_file(SEGMENT, &disk.read_file(SEGMENT).unwrap());
    let (fs, env) = Interposed::on(&disk);
    let engine = Engine::open_in(env, tiny()).unwrap();
    let others = disk.fs();
    fs.before(Operation::Read, SEGMENT, move || others.truncate(SEGMENT, 4100).unwrap());
    let found = pass(&engine);
    assert_eq!(fs.acts_left(), 0);
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert_eq!(finding.file, SEGMENT);
    assert!(finding.what.contains("became shorter while it was read"), "{finding:?}");
}

/// Reads go on, and so does the scrub; only its place is not recorded any more.
#[test]
fn after_the_end_of_writing_the_scrub_goes_on_and_writes_nothing() {
    let disk = SimDisk::new(9);
    let engine = open(&disk, tiny());
    engine.put(b"key", b"value").unwrap();
    engine.flush().unwrap();
    disk.inject(Fault::new(Failure::Device).of(Operation::Sync).on("wal*"));
    assert!(engine.put(b"key", b"lost").is_err() && engine.stats().poisoned);
    disk.clear_faults();
    let ops = disk.op_count();
    disk.clock().advance(Duration::from_secs(301));
    assert_eq!(pass(&engine), []);
    assert_eq!(engine.stats().scrub_passes, 1);
    disk.clock().advance(Duration::from_secs(301));
    assert_eq!(pass(&engine), []);
    assert_eq!(disk.op_count(), ops);
}

/// Its own edit is due every five minutes. Space and memory are left to work that
/// needs them more; whatever else fails in a manifest ends writing.
#[test]
fn a_place_that_cannot_be_recorded_is_waited_for_or_ends_writing() {
    for (failure, ends_writing) in
        [(Failure::NoSpace, false), (Failure::OutOfMemory, false), (Failure::Device, true)]
    {
        let disk = SimDisk::new(9);
        let options = Options { reserve_bytes: Some(0), ..tiny() };
        let engine = open(&disk, options);
        engine.put(b"key", b"value").unwrap();
        engine.flush().unwrap();
        let manifest = current_manifest(&disk.env()).unwrap().unwrap();
        let mut number = 0u64;
        // Until the next edit needs more than was written ahead.
        disk.inject(Fault::new(failure).of(Operation::ZeroFill).on("MANIFEST_*"));
        let mut refused = None;
        while refused.is_none() {
            disk.clock().advance(Duration::from_secs(301));
            number += 1;
            assert!(number < 5000, "the manifest has room for ever");
            let before = disk.read_file(&manifest).unwrap();
            let outcome = engine.scrub_step();
            let is_recorded = disk.read_file(&manifest).unwrap() != before;
            if !is_recorded || outcome.is_err() {
                refused = Some(outcome.map(drop));
            }
        }
        let refused = refused.expect("the loop ends with it");
        assert_eq!(refused.is_err(), ends_writing, "{failure:?}: {refused:?}");
        assert_eq!(engine.stats().poisoned, ends_writing, "{failure:?}");
        if !ends_writing {
            disk.clear_faults();
            disk.clock().advance(Duration::from_secs(301));
            settle(&engine);
            engine.scrub_step().unwrap();
            engine.put(b"key", b"again").unwrap();
        }
    }
}

/// The device may be slow: a slice ends in the middle of a file, and while its
/// place stays the same there is nothing new to be recorded.
#[test]
fn a_file_larger_than_a_slice_is_read_in_several() {
    let disk = SimDisk::new(9);
    let engine = open(&disk, tiny());
    for number in 0..4u8 {
        engine.put(&[number], &vec![b'v'; 1 << 20]).unwrap();
    }
    drop(engine);
    let disk = disk.kill(disk.op_count());
    let engine = open(&disk, tiny());
    let sealed = disk.read_file(SEGMENT).unwrap().len() as u64;
    assert!(engine.scrub_step().unwrap() && engine.scrub_step().unwrap());
    let read = engine.stats().scrubbed_log_bytes;
    assert!((1 << 20..sealed).contains(&read), "{read} of {sealed}");
    assert_eq!(pass(&engine), []);
    assert!(engine.stats().scrubbed_log_bytes > sealed);

    engine.flush().unwrap();
    assert!(engine.scrub_step().unwrap(), "a slice of the table");
    let mut written = Vec::new();
    for _ in 0..2 {
        disk.clock().advance(Duration::from_secs(301));
        let ops = disk.op_count();
        assert!(engine.scrub_step().unwrap(), "another slice of it");
        written.push(disk.op_count() > ops);
    }
    assert_eq!(written, [true, false]);
    assert_eq!(pass(&engine), []);
    assert_eq!(engine.stats().scrubbed_bytes, engine.stats().table_bytes);
}

#[test]
fn the_thread_reads_slice_after_slice() {
    let disk = SimDisk::new(9);
    let engine = open(&disk, tiny());
    engine.put(b"key", &vec![b'v'; 3 << 20]).unwrap();
    engine.flush().unwrap();
    engine.close().unwrap();
    drop(engine);
    let options =
        Options { background: Background::Threads, scrub_bytes_per_second: 1 << 40, ..tiny() };
    let engine = open(&disk, options);
    while engine.stats().scrub_passes == 0 {
        std::thread::yield_now();
    }
    assert_eq!(engine.stats().scrubbed_bytes, engine.stats().table_bytes);
    assert_eq!(engine.scrub_findings(), []);
    engine.close().unwrap();
}

/// The thread tries again after a second.
#[test]
fn the_thread_outlives_a_lack_of_descriptors() {
    let opens_of_recovery = {
        let disk = specimen();
        let fs = FaultFs::new(disk.fs());
        drop(Engine::open_in(env_of(&disk, &fs), tiny()).unwrap());
        fs.count(Operation::Open)
    };
    let disk = specimen();
    let before = current_manifest(&disk.env()).unwrap().unwrap();
    let fs = FaultFs::new(disk.fs());
    // No open asks for a manifest but for the one before its own.
    let full = Fault::new(Failure::TooManyOpenFiles).of(Operation::Open);
    fs.inject(full.on(next_manifest(&before)));
    let options = Options { background: Background::Threads, ..tiny() };
    let engine = Engine::open_in(env_of(&disk, &fs), options).unwrap();
    while fs.count(Operation::Open) == opens_of_recovery {
        std::thread::yield_now();
    }
    engine.put(b"key", b"value").unwrap();
    assert_eq!(engine.stats().scrubbed_log_bytes, 0);
    fs.clear_faults();
    while engine.stats().scrub_passes == 0 {
        std::thread::yield_now();
    }
    assert!(engine.stats().scrubbed_log_bytes > 0);
    assert_eq!(engine.scrub_findings(), []);
    engine.close().unwrap();
}

fn env_of(disk: &SimDisk, fs: &FaultFs) -> Env {
    Env { fs: Arc::new(fs.clone()), ..disk.env() }
}

fn next_manifest(name: &str) -> String {
    let number: u64 = name["MANIFEST_".len()..].parse().unwrap();
    format!("MANIFEST_{:06}", number + 1)
}
