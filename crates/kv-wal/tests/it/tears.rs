//! A power cut takes away any part of what was not synced.

use kv_env::SimDisk;
use proptest::prelude::*;

use crate::support::{NAME, create, is_prefix, read_last, text};

const SECTOR_BYTES: usize = 512;
const LINE_BYTES: usize = 64;
const PREWRITTEN_BYTES: u64 = 32 << 10;

/// The file after each flush, the first one synced, and the records in each.
struct Versions {
    files: Vec<Vec<u8>>,
    records: Vec<Vec<u8>>,
    synced_records: usize,
}

fn versions(prewritten_bytes: u64, synced: &[Vec<u8>], groups: &[&[Vec<u8>]]) -> Versions {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, prewritten_bytes);
    let mut records = synced.to_vec();
    for record in synced {
        log.append(record).unwrap();
    }
    log.sync().unwrap();
    let mut files = vec![disk.read_file(NAME).unwrap()];
    for group in groups {
        for record in *group {
            log.append(record).unwrap();
        }
        log.flush().unwrap();
        records.extend_from_slice(group);
        files.push(disk.read_file(NAME).unwrap());
    }
    let longest = files.last().unwrap().len();
    files.iter_mut().for_each(|file| file.resize(longest, 0));
    Versions { files, records, synced_records: synced.len() }
}

impl Versions {
    /// The units of `unit_bytes` in which the versions differ.
    fn units(&self, unit_bytes: usize) -> Vec<usize> {
        let newest = self.files.last().unwrap();
        let units = 0..newest.len().div_ceil(unit_bytes);
        let differs = |unit: &usize| {
            let range = unit * unit_bytes..((unit + 1) * unit_bytes).min(newest.len());
            self.files[0][range.clone()] != newest[range]
        };
        units.filter(differs).collect()
    }

    /// The file with each unit in the version that `choose` says.
    fn mixed(
        &self,
        unit_bytes: usize,
        units: &[usize],
        mut choose: impl FnMut(usize) -> usize,
    ) -> Vec<u8> {
        let mut file = self.files[0].clone();
        for (index, unit) in units.iter().enumerate() {
            let end = ((unit + 1) * unit_bytes).min(file.len());
            let range = unit * unit_bytes..end;
            file[range.clone()].copy_from_slice(&self.files[choose(index)][range]);
        }
        file
    }

    /// Fails unless a reader of `file` gets the synced records and a prefix of
    /// the others.
    fn check(&self, file: &[u8], what: impl std::fmt::Debug) {
        let reading = read_last(file);
        assert!(reading.end.is_ok(), "{what:?}: {:?}", reading.end);
        assert!(reading.records.len() >= self.synced_records, "{what:?}: a synced record is gone");
        assert!(is_prefix(&reading.records, &self.records), "{what:?}: not a prefix");
    }
}

#[test]
fn every_subset_of_the_sectors_of_a_group() {
    for prewritten_bytes in [PREWRITTEN_BYTES, 0] {
        let synced = [text(0, 3000), text(1, 300)];
        let group = [text(2, 200), text(3, 300), vec![0; 1700], text(4, 1500), text(5, 40)];
        let versions = versions(prewritten_bytes, &synced, &[&group]);
        let units = versions.units(SECTOR_BYTES);
        assert!((7..=10).contains(&units.len()), "{} sectors", units.len());
        for subset in 0..1u32 << units.len() {
            let file =
                versions.mixed(SECTOR_BYTES, &units, |index| usize::from(subset >> index & 1 == 1));
            versions.check(&file, subset);
        }
    }
}

#[test]
fn every_mix_of_sector_versions_of_three_groups() {
    let synced = [text(0, 3600)];
    let groups: [&[Vec<u8>]; 3] =
        [&[text(1, 500)], &[text(2, 700), vec![0; 20]], &[text(3, 60), text(4, 300)]];
    let versions = versions(PREWRITTEN_BYTES, &synced, &groups);
    let units = versions.units(SECTOR_BYTES);
    assert!((4..=6).contains(&units.len()), "{} sectors", units.len());
    for mix in 0..4u32.pow(units.len() as u32) {
        let file = versions.mixed(SECTOR_BYTES, &units, |index| (mix >> (2 * index) & 3) as usize);
        versions.check(&file, mix);
    }
}

/// A caller that notes as synced what was not even flushed is not believed: a
/// record that claims too much would make a tear look like rot.
#[test]
fn what_was_not_flushed_does_not_count_as_synced() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, PREWRITTEN_BYTES);
    log.synced_position().advance(kv_wal::Lsn(u64::MAX));
    for record in 0..30 {
        log.append(&text(record, 300)).unwrap();
    }
    log.flush().unwrap();
    let mut torn = disk.read_file(NAME).unwrap();
    torn[4096..4096 + SECTOR_BYTES].fill(0);
    let reading = read_last(&torn);
    assert!(reading.is_torn(), "{:?}", reading.end);
}

/// Payloads with and without zeros in them.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![3 => 0usize..300, 1 => 300usize..5000];
    (len, any::<bool>(), any::<u64>()).prop_map(|(len, sparse, seed)| {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..len).map(|_| if sparse && next() < 200 { 0 } else { next() }).collect()
    })
}

/// What became of a line: old, new, or new up to this many words.
fn line_fate() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0), 3 => Just(8usize), 1 => 1usize..8]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// A page that is copied into while the device reads it.
    #[test]
    fn any_mix_of_cache_lines(
        synced in proptest::collection::vec(payload(), 0..3),
        group in proptest::collection::vec(payload(), 1..6),
        fates in proptest::collection::vec(line_fate(), 1..200),
        keeps_most in any::<bool>(),
    ) {
        let versions = versions(1 << 16, &synced, &[&group]);
        let units = versions.units(LINE_BYTES);
        let mut file = versions.files[0].clone();
        for (index, unit) in units.iter().enumerate() {
            let fate = match index % fates.len() {
                other if keeps_most && other % 7 != 0 => 8,
                index => fates[index],
            };
            let start = unit * LINE_BYTES;
            let range = start..start + fate * LINE_BYTES / 8;
            file[range.clone()].copy_from_slice(&versions.files[1][range]);
        }
        versions.check(&file, ());
    }
}
