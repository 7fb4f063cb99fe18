//! Every byte of a table is read from the device and compared.

use kv_env::{DeviceFault, Failure, Fault, Operation, SimDisk};
use kv_sstable::{DamagedPart, ReadMode, Table, TableOptions, TableScrub};

use crate::support::{MODES, NAME, accounts, disk_with, open, put, table_bytes};

/// Small blocks, so that a table has some.
fn options() -> TableOptions {
    TableOptions { block_bytes: 200, ..TableOptions::default() }
}

/// All damage of `table`, and the bytes read, in steps of `step_bytes`.
fn scrub(disk: &SimDisk, table: &Table, step_bytes: u64) -> (Vec<DamagedPart>, u64) {
    let mut scrub = TableScrub::open(&*disk.fs(), table).unwrap();
    let (mut damage, mut bytes) = (Vec::new(), 0);
    loop {
        let progress = scrub.step(table, step_bytes, &mut damage);
        assert!(progress.bytes <= step_bytes, "{progress:?} of {step_bytes}");
        bytes += progress.bytes;
        if progress.is_at_end {
            return (damage, bytes);
        }
        assert_eq!(progress.bytes, step_bytes, "a step that is not the last");
    }
}

#[test]
fn an_intact_table_is_read_once_in_steps_of_any_size() {
    for filter_bits_per_key in [0, 10] {
        let options = TableOptions { filter_bits_per_key, ..options() };
        let bytes = table_bytes(&options, &accounts(30));
        let disk = disk_with(&bytes);
        for mode in MODES {
            let table = open(&*disk.fs(), mode).unwrap();
            for step_bytes in [1, 7, 64, 1000, 1 << 20] {
                let expected = (vec![], bytes.len() as u64);
                assert_eq!(scrub(&disk, &table, step_bytes), expected, "{step_bytes}");
            }
        }
    }
}

/// Also below a map, which keeps the old byte.
#[test]
fn a_change_of_any_byte_is_found_in_the_part_that_holds_it() {
    let bytes = table_bytes(&options(), &accounts(30));
    for mode in MODES {
        for offset in 0..bytes.len() as u64 {
            let disk = disk_with(&bytes);
            let table = open(&*disk.fs(), mode).unwrap();
            disk.corrupt(NAME, offset, 1 << (offset % 8));
            let (damage, _) = scrub(&disk, &table, 100);
            let [part] = &damage[..] else { panic!("byte {offset}: {damage:?}") };
            let range = part.offset..part.offset + part.bytes;
            assert!(range.contains(&offset), "byte {offset}: {part:?}");
            assert!(part.what.ends_with("fails its checksum"), "{part:?}");
        }
    }
}

#[test]
fn sectors_that_cannot_be_read_hide_nothing_behind_them() {
    let bytes = table_bytes(&options(), &accounts(60));
    let disk = disk_with(&bytes);
    let table = open(&*disk.fs(), ReadMode::Pread).unwrap();
    disk.inject_device(DeviceFault::unreadable(300..301));
    let last = bytes.len() as u64 - 1;
    disk.corrupt(NAME, last, 1);
    let (damage, read) = scrub(&disk, &table, 1 << 20);
    let [block, footer] = &damage[..] else { panic!("{damage:?}") };
    assert!((block.offset..block.offset + block.bytes).contains(&300), "{block:?}");
    assert!(block.what.starts_with("the block cannot be read: "), "{block:?}");
    assert_eq!((footer.offset, footer.bytes), (last + 1 - 64, 64));
    assert_eq!(read, bytes.len() as u64, "what was tried counts");
}

#[test]
fn a_file_of_another_length_is_found_once() {
    let bytes = table_bytes(&options(), &accounts(30));
    let disk = disk_with(&bytes);
    let table = open(&*disk.fs(), ReadMode::Pread).unwrap();
    disk.write_file(NAME, &[&bytes[..], b"more"].concat());
    let end = bytes.len() as u64;
    let what = "the file goes on behind its footer".to_owned();
    let surplus = DamagedPart { offset: end, bytes: 4, what };
    assert_eq!(scrub(&disk, &table, 100).0, [surplus]);
    for len in [0, 1, 79, 80, 500, end as usize - 1] {
        disk.write_file(NAME, &bytes[..len]);
        let (damage, _) = scrub(&disk, &table, 1 << 20);
        let [part] = &damage[..] else { panic!("{len} bytes: {damage:?}") };
        assert!((part.offset..part.offset + part.bytes).contains(&(len as u64)), "{part:?}");
        assert!(part.what.starts_with("the file ends before the end of "), "{part:?}");
    }
}

/// A block of one huge value is read in pieces.
#[test]
fn rot_deep_inside_a_huge_value_is_found() {
    let bytes = table_bytes(&options(), &[put("k", 1, vec![7; 300_000]), put("l", 2, "small")]);
    for offset in [100, 150_000, 299_999] {
        let disk = disk_with(&bytes);
        let table = open(&*disk.fs(), ReadMode::Map).unwrap();
        assert_eq!(scrub(&disk, &table, 1 << 20).0, []);
        disk.corrupt(NAME, offset, 0x80);
        for step_bytes in [1000, 1 << 20] {
            let (damage, _) = scrub(&disk, &table, step_bytes);
            assert!(matches!(&damage[..], [part] if part.offset == 80), "{damage:?}");
        }
    }
}

/// A read that finds no memory says nothing of the table: it is made again.
#[test]
fn want_of_memory_is_no_damage_and_hides_none() {
    let bytes = table_bytes(&options(), &accounts(30));
    for failing in 0..8 {
        let disk = disk_with(&bytes);
        let table = open(&*disk.fs(), ReadMode::Pread).unwrap();
        if failing % 2 == 0 {
            disk.corrupt(NAME, bytes.len() as u64 / 2, 1);
        }
        let mut scrub = TableScrub::open(&*disk.fs(), &table).unwrap();
        let fault = Fault::new(Failure::OutOfMemory).of(Operation::Read);
        disk.inject(fault.after(failing).times(2));
        let mut damage = Vec::new();
        let broken_off = (0..9).position(|_| scrub.step(&table, 1 << 20, &mut damage).is_at_end);
        assert_eq!(broken_off, Some(2), "read {failing}");
        assert_eq!(damage.len(), usize::from(failing % 2 == 0), "{damage:?}");
    }
}
