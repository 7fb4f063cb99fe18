//! Reading past damage: every block that is intact comes back, with the index
//! and without it, and what is lost is named.

use kv_core::{FileHeader, OwnedEntry};
use kv_env::{Failure, Fault, Operation};
use kv_sstable::{Compression, TableDamage, TableOptions, TableSalvage};

use crate::forge::Parts;
use crate::support::{
    FILE_ID, NAME, accounts, disk_with, header, put, salvaged, small_blocks, table_bytes,
};

const FOOTER_BYTES: usize = 64;

/// What was found in a table.
#[derive(Debug, PartialEq)]
struct Found {
    entries: Vec<OwnedEntry>,
    damage: Vec<TableDamage>,
    blocks: u64,
    has_properties: bool,
}

impl Found {
    fn lossy_damage(&self) -> Vec<&TableDamage> {
        self.damage.iter().filter(|damage| damage.holds_entries).collect()
    }
}

fn salvage_as(bytes: &[u8], header: FileHeader) -> Found {
    let disk = disk_with(bytes);
    let mut table = TableSalvage::open(disk.fs().open(NAME).unwrap(), header).unwrap();
    let entries = salvaged(&mut table);
    assert!(!table.advance().unwrap(), "the end stays the end");
    assert_eq!(table.entries(), entries.len() as u64);
    assert!(entries.is_sorted_by(|left, right| left.key < right.key));
    assert!(format!("{table:?}").contains("damage"));
    Found {
        entries,
        damage: table.damage().to_vec(),
        blocks: table.blocks(),
        has_properties: table.properties().is_some(),
    }
}

fn salvage(bytes: &[u8]) -> Found {
    salvage_as(bytes, header(FILE_ID))
}

/// Bytes that LZ4 cannot shorten.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Small entries between values far larger than a block, of which LZ4 shortens
/// every other one.
fn large_values() -> Vec<OwnedEntry> {
    let mut entries = Vec::new();
    for (number, len) in [70_000, 66_000, 300_000, 200_000, 20, 1_000_000].into_iter().enumerate() {
        let value = if number % 2 == 0 { noise(1, len) } else { b"again ".repeat(len / 6) };
        entries.push(put(format!("{number}a"), 1, "small"));
        entries.push(put(format!("{number}b"), 2, value));
    }
    // LZ4 shortens it, and it stays larger than a block.
    entries.push(put("6", 3, [noise(2, 100_000), vec![0; 200_000]].concat()));
    entries
}

fn ranges(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut at = 80;
    let blocks = Parts::of(bytes).blocks;
    let ranges = blocks.iter().map(|block| {
        at += block.len() + 4;
        at - block.len() - 4..at
    });
    ranges.collect()
}

/// Index, filter, properties and footer are gone.
fn without_index(bytes: &[u8]) -> Vec<u8> {
    let end = ranges(bytes).last().unwrap().end;
    let mut bytes = bytes.to_vec();
    bytes[end..].fill(0x5a);
    bytes
}

const COMPRESSIONS: [Compression; 2] = [Compression::None, Compression::Lz4];

#[test]
fn an_intact_table_is_read_without_complaint() {
    for compression in COMPRESSIONS {
        for entries in [accounts(100), large_values()] {
            let bytes = table_bytes(&small_blocks(compression), &entries);
            let found = salvage(&bytes);
            assert!(found.entries == entries && found.has_properties);
            assert_eq!((found.damage, found.blocks), (vec![], ranges(&bytes).len() as u64));
        }
    }
}

#[test]
fn blocks_are_found_without_an_index() {
    for compression in COMPRESSIONS {
        for entries in [accounts(100), large_values()] {
            let bytes = table_bytes(&small_blocks(compression), &entries);
            let blocks = ranges(&bytes).len() as u64;
            let found = salvage(&without_index(&bytes));
            assert!(found.entries == entries, "{compression:?}: {:?}", found.damage);
            assert_eq!((found.blocks, found.has_properties), (blocks, false));
            // Nobody knows whether the table went on.
            let lossy = found.lossy_damage();
            assert!(matches!(&lossy[..], [damage] if damage.to_key.is_none()), "{lossy:?}");

            let mut footer_only = bytes.clone();
            let footer = bytes.len() - FOOTER_BYTES;
            footer_only[footer..].fill(0x5a);
            let found = salvage(&footer_only);
            assert!(found.entries == entries, "{compression:?}: {:?}", found.damage);
            // The index behind the blocks tells that they are all.
            let lossy = found.lossy_damage();
            assert!(lossy.is_empty(), "{lossy:?}");
        }
    }
}

/// Where a block ends must be found for blocks of any fill: of many entries up
/// to the largest block, and of one entry below and above that.
#[test]
fn blocks_of_every_size_are_found_without_an_index() {
    for compression in COMPRESSIONS {
        for block_bytes in [1, 4096, 65_536] {
            let lens = (65_400..65_560).step_by(7).chain([0, 1, 40, 4000, 32_700, 131_072]);
            let mut entries = Vec::new();
            for (number, len) in lens.enumerate() {
                entries.push(put(format!("{number:03}a"), 1, noise(number as u64, len)));
                entries.push(put(format!("{number:03}b"), 2, vec![b'z'; len]));
            }
            // Nothing but headers of entries and slots.
            entries.extend((0..9000).map(|number| put(format!("k{number:04}"), 3, "")));
            let options = TableOptions { block_bytes, compression, ..TableOptions::default() };
            let found = salvage(&without_index(&table_bytes(&options, &entries)));
            assert!(
                found.entries == entries,
                "{compression:?}, {block_bytes}: {} of {} entries\n{:?}",
                found.entries.len(),
                entries.len(),
                found.damage
            );
        }
    }
}

/// The damage names the range of keys in which something may be missing, and
/// nothing is missing outside of it.
fn check_loss(whole: &[OwnedEntry], found: &Found, block: &std::ops::Range<usize>, what: &str) {
    let lost = whole.iter().filter(|entry| !found.entries.contains(entry));
    let lost: Vec<_> = lost.map(|entry| &entry.key).collect();
    assert!(!lost.is_empty(), "{what}: nothing is lost");
    let lossy = found.lossy_damage();
    for key in lost {
        let is_named = lossy.iter().any(|damage| {
            damage.offset < block.end as u64
                && block.start as u64 <= damage.offset
                && damage.from_key.as_ref().is_none_or(|from| from <= key)
                && damage.to_key.as_ref().is_none_or(|to| key <= to)
        });
        assert!(is_named, "{what}: {key:?} is not accounted for: {lossy:?}");
    }
    assert!(found.entries.iter().all(|entry| whole.contains(entry)), "{what}: made up");
}

#[test]
fn a_damaged_block_costs_its_own_entries_and_no_others() {
    for compression in COMPRESSIONS {
        for (entries, most_lost) in [(accounts(100), 30), (large_values(), 3)] {
            let bytes = table_bytes(&small_blocks(compression), &entries);
            let blocks = ranges(&bytes);
            for (number, block) in blocks.iter().enumerate() {
                let middle = (block.start + block.end) / 2;
                for at in [middle, block.end - 6] {
                    let what = format!("{compression:?}, block {number}, byte {at}");
                    let mut damaged = bytes.clone();
                    damaged[at] ^= 0x21;
                    let found = salvage(&damaged);
                    check_loss(&entries, &found, block, &what);
                    assert_eq!(found.blocks, blocks.len() as u64 - 1, "{what}");
                    let searched = salvage(&without_index(&damaged));
                    check_loss(&entries, &searched, block, &format!("{what}, no index"));
                    assert_eq!(searched.entries, found.entries, "{what}");
                    assert!(entries.len() - found.entries.len() <= most_lost, "{what}");
                }
            }
        }
    }
}

/// The lengths in it may be what is damaged, and say that the next block is far
/// away: with one more bit the seqno counts as a part of the size.
#[test]
fn a_flip_in_the_head_of_a_block_costs_no_other_block() {
    let entries: Vec<OwnedEntry> = (0..400u64)
        .map(|number| put(format!("{number:05}"), 50 + number % 40, noise(number, 500)))
        .collect();
    for compression in COMPRESSIONS {
        let options = TableOptions { block_bytes: 4096, compression, ..TableOptions::default() };
        let whole = table_bytes(&options, &entries);
        let (blocks, bytes) = (ranges(&whole), without_index(&whole));
        for block in &blocks[1..4] {
            for bit in 0..16 * 8 {
                let mut damaged = bytes.clone();
                damaged[block.start + bit / 8] ^= 1 << (bit % 8);
                let what = format!("{compression:?}, block at {}, bit {bit}", block.start);
                let found = salvage(&damaged);
                check_loss(&entries, &found, block, &what);
                assert_eq!(found.blocks, blocks.len() as u64 - 1, "{what}: {:?}", found.damage);
            }
        }
    }
}

/// One of the two copies of a block's checksum is enough.
#[test]
fn a_damaged_checksum_costs_nothing_while_there_is_an_index() {
    let bytes = table_bytes(&small_blocks(Compression::None), &accounts(60));
    for block in ranges(&bytes) {
        let mut damaged = bytes.clone();
        damaged[block.end - 2] ^= 1;
        let found = salvage(&damaged);
        assert_eq!((found.entries, found.damage), (accounts(60), vec![]));
    }
}

#[test]
fn a_cut_table_keeps_the_blocks_before_the_cut() {
    for compression in COMPRESSIONS {
        let whole = accounts(60);
        let bytes = table_bytes(&small_blocks(compression), &whole);
        let blocks = ranges(&bytes);
        for len in 0..bytes.len() {
            let found = salvage(&bytes[..len]);
            let kept = blocks.iter().filter(|block| block.end <= len).count() as u64;
            assert_eq!(found.blocks, kept, "cut to {len}: {:?}", found.damage);
            assert!(whole.starts_with(&found.entries), "cut to {len}");
            let is_whole = found.entries.len() == whole.len();
            let is_named = !found.lossy_damage().is_empty();
            assert!(is_whole || is_named, "cut to {len}: {:?}", found.damage);
        }
    }
}

/// Blocks whose checksums hold and whose contents contradict one another.
#[test]
fn a_block_is_believed_only_if_it_fits_its_neighbours() {
    let whole = accounts(60);
    let bytes = table_bytes(&small_blocks(Compression::None), &whole);
    let mut parts = Parts::of(&bytes);
    parts.blocks.swap(1, 2);
    let swapped = parts.seal();
    for (bytes, what) in [
        (swapped.clone(), "the keys of the block are out of order"),
        (without_index(&swapped), "no intact block stands here"),
    ] {
        let found = salvage(&bytes);
        let lossy = found.lossy_damage();
        assert!(lossy.iter().any(|damage| damage.what == what), "{lossy:?}");
        assert!(found.entries.iter().all(|entry| whole.contains(entry)));
    }
}

/// Every byte of a block is changed behind a right checksum: no panic, keys in
/// order, and the neighbours are there.
#[test]
fn forged_blocks_harm_nobody_else() {
    let whole = accounts(60);
    for compression in COMPRESSIONS {
        let sound = Parts::of(&table_bytes(&small_blocks(compression), &whole));
        let mut reasons = std::collections::BTreeSet::new();
        for at in 0..sound.blocks[1].len() {
            for mask in [1, 0x80, 0xff] {
                let mut parts = sound.clone();
                parts.blocks[1][at] ^= mask;
                let sealed = parts.seal();
                let found = salvage(&sealed);
                reasons.extend(found.lossy_damage().into_iter().map(|damage| damage.what));
                assert!(found.entries.starts_with(&whole[..2]), "byte {at}");
                let searched = salvage(&without_index(&sealed));
                assert!(searched.entries.starts_with(&whole[..2]), "byte {at}");
            }
        }
        let contradiction = "the hash index of the block contradicts its keys";
        assert!(reasons.contains(contradiction), "{reasons:?}");
        assert!(reasons.contains("the block is of a later version"), "{reasons:?}");
    }
}

#[test]
fn blocks_of_another_table_are_not_believed() {
    let bytes = table_bytes(&small_blocks(Compression::None), &accounts(60));
    let found = salvage_as(&bytes, header(FILE_ID + 1));
    assert_eq!((found.entries.len(), found.blocks), (0, 0));
    assert!(!found.lossy_damage().is_empty());
}

#[test]
fn damaged_sections_are_named_and_cost_no_entry() {
    let whole = accounts(60);
    let bytes = table_bytes(&small_blocks(Compression::Lz4), &whole);
    let footer = &bytes[bytes.len() - FOOTER_BYTES..];
    for (at, what) in [
        (0, "the filter is damaged"),
        (16, "the index is damaged"),
        (32, "the properties are damaged"),
    ] {
        let offset = u64::from_le_bytes(footer[at..at + 8].try_into().unwrap());
        let mut damaged = bytes.clone();
        damaged[offset as usize + 9] ^= 1;
        let found = salvage(&damaged);
        assert!(found.entries == whole, "{what}");
        let [damage] = &found.damage[..] else { panic!("{what}: {:?}", found.damage) };
        assert_eq!((damage.what, damage.offset, damage.holds_entries), (what, offset, false));
    }
}

/// Salvage itself knows no unreadable parts: whoever opens the file hides them.
#[test]
fn a_device_that_cannot_read_is_an_error() {
    let disk = disk_with(&table_bytes(&small_blocks(Compression::None), &accounts(60)));
    let file = disk.fs().open(NAME).unwrap();
    disk.inject(Fault::new(Failure::Device).of(Operation::Read));
    assert!(TableSalvage::open(file, header(FILE_ID)).is_err());
}
