//! The scrub of the manifest and of sealed segments.

use kv_engine::{Engine, ScrubFinding, current_manifest};
use kv_env::SimDisk;

use crate::support::{open, tiny};

/// Two sealed segments whose writes are in memory: one that was closed, one
/// that a recovery gave its end.
const SEGMENTS: [&str; 2] = ["wal_000001.log", "wal_000002.log"];

fn specimen() -> (SimDisk, Engine) {
    let disk = SimDisk::new(7);
    let engine = open(&disk, tiny());
    engine.put(b"first", b"value").unwrap();
    engine.put(b"second", &[b'x'; 70]).unwrap();
    engine.close().unwrap();
    let engine = open(&disk, tiny());
    engine.put(b"third", &[b'y'; 90]).unwrap();
    let killed = disk.kill(disk.op_count());
    drop(engine);
    let engine = open(&killed, tiny());
    engine.put(b"fourth", b"value").unwrap();
    (killed, engine)
}

fn pass(engine: &Engine) -> Vec<ScrubFinding> {
    while engine.scrub_step().unwrap() {}
    engine.scrub_findings()
}

fn covers(finding: &ScrubFinding, name: &str, offset: usize) -> bool {
    let range = finding.offset..finding.offset + finding.bytes;
    finding.file == name && range.contains(&(offset as u64))
}

fn last_written(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).unwrap()
}

#[test]
fn an_intact_log_is_read_and_nothing_is_found_or_changed() {
    let (disk, engine) = specimen();
    let ops = disk.op_count();
    assert_eq!(pass(&engine), []);
    let read = engine.stats().scrubbed_log_bytes;
    let segments = SEGMENTS.map(|name| disk.read_file(name).unwrap().len() as u64);
    let manifest = disk.read_file(&current_manifest(&disk.env()).unwrap().unwrap()).unwrap();
    let expected = segments.iter().sum::<u64>() + last_written(&manifest) as u64;
    assert!(read.abs_diff(expected) < 20, "{read} and not {expected}");
    assert_eq!(disk.op_count(), ops);
    engine.flush().unwrap();
    assert_eq!(pass(&engine), [], "the segments are gone");
}

#[test]
fn rot_anywhere_in_sealed_segments_and_manifest_is_found_in_one_pass() {
    let (disk, _engine) = specimen();
    let manifest = current_manifest(&disk.env()).unwrap().unwrap();
    for name in SEGMENTS.into_iter().chain([manifest.as_str()]) {
        let last = last_written(&disk.read_file(name).unwrap());
        for offset in (0..100).step_by(9).chain([2000]).chain((4096..=last).step_by(5)) {
            let (disk, engine) = specimen();
            disk.corrupt(name, offset as u64, 1 << (offset % 8));
            let found = pass(&engine);
            let what = format!("{name}, byte {offset}");
            let [finding] = &found[..] else { panic!("{what}: {found:?}") };
            assert!(covers(finding, name, offset), "{what}: {finding:?}");
            assert_eq!(pass(&engine), found, "{what}: found again, listed once");
            // It is a finding, and neither a failure nor a loss.
            assert_eq!(engine.get(b"second").unwrap().unwrap(), [b'x'; 70][..], "{what}");
            engine.put(b"later", b"value").unwrap();
            assert!(!engine.stats().poisoned, "{what}");
        }
    }
}

/// A flush makes a damaged segment superfluous.
#[test]
fn a_flush_saves_what_a_damaged_segment_held() {
    let (disk, engine) = specimen();
    disk.corrupt(SEGMENTS[0], 4130, 1);
    assert_eq!(pass(&engine).len(), 1);
    engine.flush().unwrap();
    engine.close().unwrap();
    let engine = open(&disk, tiny());
    assert_eq!(engine.get(b"first").unwrap().unwrap(), b"value"[..]);
    assert_eq!(pass(&engine), [], "and nothing is left to be found");
}

#[test]
fn a_log_that_somebody_took_away_is_a_finding() {
    for name in SEGMENTS {
        let (disk, engine) = specimen();
        disk.fs().remove(name).unwrap();
        let found = pass(&engine);
        let [finding] = &found[..] else { panic!("{name}: {found:?}") };
        assert_eq!((finding.file.as_str(), finding.offset), (name, 0));
        assert!(finding.what.contains("cannot be read"), "{finding:?}");
    }
}
