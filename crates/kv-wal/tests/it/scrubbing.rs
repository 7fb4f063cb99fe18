//! The scrub of a log: whatever has changed up to where the log is durable is
//! found, and nothing behind it is looked at.

use kv_env::SimDisk;
use kv_wal::{LogGap, LogScrub};

use crate::support::{FIRST_FRAME, NAME, create, header, log_bytes};

fn records() -> Vec<Vec<u8>> {
    (1..40).map(|number| vec![number as u8; 37 * number % 700]).collect()
}

/// Records over some frames, with an end mark.
fn finished() -> Vec<u8> {
    log_bytes(32 << 10, |mut log| {
        for record in records() {
            log.append(&record).unwrap();
        }
        log.finish().unwrap();
    })
}

/// One pass in slices of `budget` bytes: what it finds, and the bytes it reads.
fn scrub(bytes: &[u8], durable_bytes: Option<u64>, budget: u64) -> (Vec<LogGap>, u64) {
    let disk = SimDisk::new(1);
    disk.write_file(NAME, bytes);
    let file = disk.fs().open(NAME).unwrap();
    let mut scrub = LogScrub::new(file, NAME, header(), durable_bytes);
    assert!(format!("{scrub:?}").contains(NAME));
    let (mut damage, mut read) = (Vec::new(), 0);
    loop {
        let progress = scrub.step(budget, &mut damage).unwrap();
        read += progress.bytes;
        assert_eq!(scrub.file_offset(), read);
        if progress.is_at_end {
            return (damage, read);
        }
        let most = budget.saturating_add(2 * FIRST_FRAME as u64);
        assert!((budget..most).contains(&progress.bytes), "{} of {budget}", progress.bytes);
    }
}

fn covers(gap: &LogGap, offset: usize) -> bool {
    (gap.file_offset..gap.file_offset + gap.bytes).contains(&(offset as u64))
}

#[test]
fn an_intact_log_is_read_whole_in_slices_of_any_size() {
    let bytes = finished();
    assert!(bytes.len() > 3 * FIRST_FRAME, "some frames: {}", bytes.len());
    for budget in [1, 100, 5000, u64::MAX] {
        assert_eq!(scrub(&bytes, None, budget), (vec![], bytes.len() as u64), "{budget}");
    }
}

#[test]
fn every_changed_byte_is_found_and_named_once() {
    let bytes = finished();
    for offset in (0..110).chain(FIRST_FRAME..bytes.len()) {
        let mut damaged = bytes.clone();
        damaged[offset] ^= 1 << (offset % 8);
        let (damage, _) = scrub(&damaged, None, 1000);
        let [gap] = &damage[..] else { panic!("byte {offset}: {damage:?}") };
        assert!(covers(gap, offset), "byte {offset}: {gap:?}");
        assert!(gap.bytes < 2 * 4096, "byte {offset}: {gap:?}");
    }
}

#[test]
fn a_log_that_is_too_short_is_found() {
    let bytes = finished();
    for len in (0..bytes.len()).step_by(11) {
        let cut = &bytes[..len];
        assert!(!scrub(cut, None, 1000).0.is_empty(), "cut to {len}, marked");
        let (damage, _) = scrub(cut, Some(bytes.len() as u64), 1000);
        assert!(damage.iter().any(|gap| covers(gap, bytes.len() - 1)), "cut to {len}: {damage:?}");
    }
}

/// As a log looks to somebody who reads it beside its writer.
#[test]
fn what_is_not_durable_yet_is_not_looked_at() {
    let disk = SimDisk::new(1);
    let mut log = create(&disk, 32 << 10);
    for record in records() {
        log.append(&record).unwrap();
    }
    log.sync().unwrap();
    let durable = log.file_bytes();
    for record in records() {
        log.append(&record).unwrap();
    }
    log.flush().unwrap();
    let bytes = disk.read_file(NAME).unwrap();
    for offset in durable as usize..log.file_bytes() as usize {
        let mut torn = bytes.clone();
        torn[offset] ^= 0xff;
        torn[offset + 1..].fill(0);
        assert_eq!(scrub(&torn, Some(durable), 1 << 20).0, [], "byte {offset}");
    }
    let mut rotten = bytes.clone();
    rotten[durable as usize - 1] ^= 1;
    assert_eq!(scrub(&rotten, Some(durable), 1 << 20).0.len(), 1);
}
