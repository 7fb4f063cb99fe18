//! What a power cut leaves of the bytes of files.

use std::collections::BTreeSet;

use kv_env::{CrashChoice, Failure, Fault, Operation, SimDisk, SimOptions, WriteFile};

const SECTOR: usize = 512;

/// A disk with one durable, empty file of this name.
fn disk_with(name: &str) -> (SimDisk, Box<dyn WriteFile>) {
    with_options(name, SimOptions::default())
}

fn with_options(name: &str, options: SimOptions) -> (SimDisk, Box<dyn WriteFile>) {
    let disk = SimDisk::with_options(1, options);
    let fs = disk.fs();
    let file = fs.create(name).unwrap();
    fs.sync_dir().unwrap();
    (disk, file)
}

/// All different contents of `name` that a power cut now may leave.
fn outcomes(disk: &SimDisk, name: &str) -> BTreeSet<Vec<u8>> {
    let op = disk.op_count();
    disk.images(op).map(|(_, image)| image.read_file(name).unwrap()).collect()
}

#[test]
fn synced_bytes_stay_and_unsynced_bytes_may_go() {
    let (disk, mut file) = disk_with("a");
    file.append(b"synced").unwrap();
    file.sync().unwrap();
    file.append(b", not synced").unwrap();
    assert_eq!(disk.crash(CrashChoice::None).read_file("a").unwrap(), b"synced");
    assert_eq!(disk.crash(CrashChoice::All).read_file("a").unwrap(), b"synced, not synced");
    // The disk itself has lost nothing, and a sync through a handle counts.
    assert_eq!(disk.read_file("a").unwrap(), b"synced, not synced");
    file.sync_handle().sync().unwrap();
    let (_, image) = disk.images(disk.op_count()).next().unwrap();
    assert_eq!(image.read_file("a").unwrap(), b"synced, not synced");
}

#[test]
fn a_crash_between_two_parts_of_an_append_finds_the_first() {
    let options = SimOptions { short_writes: true, ..SimOptions::default() };
    let (disk, mut file) = with_options("a", options);
    let text = b"written in two calls";
    let before = disk.op_count();
    file.append(text).unwrap();
    assert_eq!(disk.op_count(), before + 2, "{:?}", disk.history());
    let first = disk.kill(before + 1).read_file("a").unwrap();
    assert!(!first.is_empty() && first.len() < text.len() && text.starts_with(&first));
    assert_eq!(disk.image(before + 1, CrashChoice::All).read_file("a").unwrap(), first);
    assert_eq!(disk.read_file("a").unwrap(), text);
    assert_eq!(file.position(), text.len() as u64);
}

#[test]
fn an_append_tears_at_sectors_in_any_combination() {
    let (disk, mut file) = disk_with("a");
    file.append(&[1; 3 * SECTOR]).unwrap();
    let outcomes = outcomes(&disk, "a");
    // Lengths of 0 to 3 sectors; below the length each sector is there or not:
    // the last is there, or only the length is.
    let mut expected = BTreeSet::from([vec![]]);
    for mask in 1..8_usize {
        let mut bytes = Vec::new();
        for sector in 0..3 {
            if mask >> sector & 1 == 1 {
                bytes.resize(sector * SECTOR, 0);
                bytes.resize((sector + 1) * SECTOR, 1);
            }
        }
        expected.insert(bytes.clone());
        bytes.resize(3 * SECTOR, 0);
        expected.insert(bytes);
    }
    expected.insert(vec![0; 3 * SECTOR]);
    assert_eq!(outcomes, expected);
}

#[test]
fn appends_over_synced_zeros_leave_each_sector_old_or_new() {
    let (disk, mut file) = disk_with("wal.log");
    file.zero_fill(4 * SECTOR as u64).unwrap();
    file.sync().unwrap();
    file.append(&[1; SECTOR + 100]).unwrap();
    let outcomes = outcomes(&disk, "wal.log");
    assert_eq!(outcomes.len(), 4);
    for bytes in outcomes {
        assert_eq!(bytes.len(), 4 * SECTOR, "the length was synced with the zeros");
        for (sector, written) in [(0, SECTOR), (1, 100), (2, 0), (3, 0)] {
            let sector = &bytes[sector * SECTOR..][..SECTOR];
            let mut new = vec![1; written];
            new.resize(SECTOR, 0);
            assert!(sector == new || sector == [0; SECTOR]);
        }
    }
}

#[test]
fn a_sector_written_twice_is_old_or_half_new_or_new() {
    let (disk, mut file) = disk_with("a");
    file.append(b"one ").unwrap();
    file.sync().unwrap();
    file.append(b"two ").unwrap();
    file.append(b"three").unwrap();
    let expected: [&[u8]; 5] = [
        b"one ",
        b"one two ",
        b"one two three",
        // The length of the second append with the bytes of none or the first.
        b"one \0\0\0\0\0\0\0\0\0",
        b"one two \0\0\0\0\0",
    ];
    let mut expected: BTreeSet<Vec<u8>> = expected.iter().map(|bytes| bytes.to_vec()).collect();
    expected.insert(b"one \0\0\0\0".to_vec());
    assert_eq!(outcomes(&disk, "a"), expected);
}

#[test]
fn sealing_and_truncating_sync_what_they_cut() {
    let (disk, mut file) = disk_with("a");
    file.zero_fill(4096).unwrap();
    file.append(b"bytes").unwrap();
    file.seal().unwrap();
    assert_eq!(outcomes(&disk, "a"), BTreeSet::from([b"bytes".to_vec()]));

    disk.write_file("b", b"0123456789");
    let before = disk.op_count();
    disk.fs().truncate("b", 4).unwrap();
    assert_eq!(outcomes(&disk, "b"), BTreeSet::from([b"0123".to_vec()]));
    // Between the cut and its sync both lengths are possible.
    let between: BTreeSet<Vec<u8>> =
        disk.images(before + 1).map(|(_, image)| image.read_file("b").unwrap()).collect();
    assert_eq!(between, BTreeSet::from([b"0123".to_vec(), b"0123456789".to_vec()]));
}

#[test]
fn lost_parts_of_a_longer_file_may_hold_bytes_of_a_removed_one() {
    let (disk, mut file) =
        with_options("a", SimOptions { stale_bytes: true, ..Default::default() });
    disk.write_file("old", &[7; 2 * SECTOR]);
    disk.fs().remove("old").unwrap();
    disk.fs().sync_dir().unwrap();
    file.append(&[1; 2 * SECTOR]).unwrap();
    let stale_length = [vec![7; 2 * SECTOR]].concat();
    let stale_hole = [vec![7; SECTOR], vec![1; SECTOR]].concat();
    let outcomes = outcomes(&disk, "a");
    assert!(outcomes.contains(&stale_length) && outcomes.contains(&stale_hole));
}

#[test]
fn after_a_failed_sync_any_part_may_be_there_and_no_later_sync_helps() {
    let (disk, mut file) = disk_with("a");
    file.append(&[1; SECTOR]).unwrap();
    disk.inject(Fault::new(Failure::Device).of(Operation::Sync).times(1));
    assert!(file.sync().is_err());
    file.sync().unwrap();
    // The cache still shows the bytes, which makes the trap.
    assert_eq!(disk.read_file("a").unwrap(), [1; SECTOR]);
    assert!(outcomes(&disk, "a").contains(&vec![]));
    assert!(outcomes(&disk, "a").contains(&vec![1; SECTOR]));

    // What is written and synced later is there, with a hole before it.
    file.append(&[2; SECTOR]).unwrap();
    file.sync().unwrap();
    let with_hole = [vec![0; SECTOR], vec![2; SECTOR]].concat();
    let without = [vec![1; SECTOR], vec![2; SECTOR]].concat();
    assert_eq!(outcomes(&disk, "a"), BTreeSet::from([with_hole.clone(), without.clone()]));

    // Once the cache is dropped reads and power cuts agree.
    disk.fs().open("a").unwrap().drop_cache().unwrap();
    let bytes = disk.read_file("a").unwrap();
    assert!(bytes == with_hole || bytes == without);
    assert_eq!(outcomes(&disk, "a"), BTreeSet::from([bytes]));
}

#[test]
fn a_rewritten_sector_is_no_longer_in_doubt_after_a_failed_sync() {
    let (disk, mut file) = disk_with("a");
    file.zero_fill(SECTOR as u64).unwrap();
    file.sync().unwrap();
    file.append(b"first").unwrap();
    disk.inject(Fault::new(Failure::Device).of(Operation::Sync).times(1));
    assert!(file.sync().is_err());
    file.append(b"second").unwrap();
    file.sync().unwrap();
    let outcomes = outcomes(&disk, "a");
    assert_eq!(outcomes.len(), 1);
    assert!(outcomes.first().unwrap().starts_with(b"firstsecond\0"));
}

#[test]
fn reads_may_go_back_at_once_after_a_failed_sync() {
    let seen: BTreeSet<Vec<u8>> = (0..20)
        .map(|seed| {
            let options = SimOptions { failed_sync_reverts: true, ..Default::default() };
            let disk = SimDisk::with_options(seed, options);
            let mut file = disk.fs().create("a").unwrap();
            disk.fs().sync_dir().unwrap();
            file.append(b"x").unwrap();
            disk.inject(Fault::new(Failure::Device).of(Operation::Sync));
            assert!(file.sync().is_err());
            let bytes = disk.read_file("a").unwrap();
            assert_eq!(outcomes(&disk, "a"), BTreeSet::from([bytes.clone()]));
            bytes
        })
        .collect();
    assert!(seen.contains(&b"x"[..]) && seen.contains(&b""[..]), "{seen:?}");
}

#[test]
fn a_lying_disk_loses_what_it_called_durable() {
    let (disk, mut file) = disk_with("a");
    disk.set_lying_sync(true);
    file.append(b"x").unwrap();
    file.sync().unwrap();
    assert_eq!(disk.crash(CrashChoice::None).read_file("a").unwrap(), b"");
    disk.fs().create("b").unwrap();
    disk.fs().sync_dir().unwrap();
    assert_eq!(disk.crash(CrashChoice::None).read_file("b"), None);
}

#[test]
fn a_killed_process_leaves_its_bytes_in_the_cache_only() {
    let (disk, mut file) = disk_with("a");
    file.append(b"x").unwrap();
    let _lock = disk.fs().lock("LOCK").unwrap();
    let killed = disk.kill(disk.op_count());
    assert_eq!(killed.read_file("a").unwrap(), b"x");
    assert_eq!(killed.op_count(), disk.op_count());
    drop(killed.fs().lock("LOCK").unwrap());
    assert_eq!(killed.crash(CrashChoice::None).read_file("a").unwrap(), b"");
    assert_eq!(outcomes(&killed, "a").len(), outcomes(&disk, "a").len());
}

#[test]
fn rot_is_on_the_disk_and_in_the_cache_but_not_in_a_map() {
    let (disk, mut file) = disk_with("a");
    file.append(b"abc").unwrap();
    file.sync().unwrap();
    file.append(b"def").unwrap();
    let map = disk.fs().open("a").unwrap().map().unwrap();
    disk.corrupt("a", 1, 0x20);
    disk.corrupt("a", 4, 0x20);
    assert_eq!(disk.read_file("a").unwrap(), b"aBcdEf");
    assert_eq!(disk.crash(CrashChoice::None).read_file("a").unwrap(), b"aBc");
    assert_eq!(disk.crash(CrashChoice::All).read_file("a").unwrap(), b"aBcdEf");
    assert_eq!(map.bytes(), b"abcdef");
}
