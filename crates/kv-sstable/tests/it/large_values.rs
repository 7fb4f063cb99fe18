//! Values far larger than a block.

use kv_core::OwnedEntry;
use kv_env::SimDisk;
use kv_sstable::{Compression, TableOptions};

use crate::support::{MODES, NAME, PURPOSES, backwards, build, forwards, get, open, put};

const CHUNK_BYTES: usize = 256 << 10;

/// Bytes that LZ4 cannot shorten.
fn noise(len: usize) -> Vec<u8> {
    let mut state = len as u64;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect()
}

fn check(options: &TableOptions, entries: &[OwnedEntry]) -> u64 {
    let disk = SimDisk::new(1);
    let file_bytes = build(&*disk.fs(), options, entries).file_bytes;
    assert_eq!(file_bytes, disk.read_file(NAME).unwrap().len() as u64);
    for mode in MODES {
        let table = open(&*disk.fs(), mode).unwrap();
        for entry in entries {
            assert!(get(&table, &entry.key).unwrap().as_ref() == Some(entry));
        }
        for purpose in PURPOSES {
            assert!(forwards(&mut table.cursor(purpose)).unwrap() == entries);
            assert!(backwards(&mut table.cursor(purpose)).unwrap() == entries);
        }
        assert_eq!(table.verify(true).unwrap().entries, entries.len() as u64);
    }
    file_bytes
}

#[test]
fn values_around_the_size_of_a_block_and_of_a_chunk_come_back() {
    let lens = [
        0,
        4000,
        4096,
        65_535,
        65_536,
        CHUNK_BYTES - 1,
        CHUNK_BYTES,
        CHUNK_BYTES + 1,
        3 * CHUNK_BYTES,
        (1 << 20) + 77,
    ];
    let mut entries = Vec::new();
    for (number, len) in lens.into_iter().enumerate() {
        entries.push(put(format!("{number:02}a"), 1, "small"));
        entries.push(put(format!("{number:02}b"), 2, noise(len)));
        entries.push(put(format!("{number:02}c"), 3, vec![b'c'; len]));
    }
    for compression in [Compression::None, Compression::Lz4] {
        for block_bytes in [1, 4096, 65_536] {
            check(&TableOptions { block_bytes, compression, ..TableOptions::default() }, &entries);
        }
    }
}

#[test]
fn a_block_over_the_limit_of_compression_is_stored_as_it_is() {
    let options = TableOptions { compression: Compression::Lz4, ..TableOptions::default() };
    let limit = 16 << 20;
    let below = check(&options, &[put("key", 1, vec![0; limit - 100])]);
    assert!(below < limit as u64 / 100, "{below}");
    for len in [limit - 1, limit] {
        let above = check(&options, &[put("key", 1, vec![0; len])]);
        assert!(above > limit as u64, "{above}");
    }
}

#[test]
fn compression_that_saves_less_than_an_eighth_is_not_kept() {
    let options = TableOptions { compression: Compression::Lz4, ..TableOptions::default() };
    for (zeros, is_kept) in [(3500, true), (700, true), (300, false), (0, false)] {
        let mut value = noise(4000 - zeros);
        value.resize(4000, 0);
        let disk = SimDisk::new(1);
        build(&*disk.fs(), &options, &[put("key", 1, value)]);
        let table = open(&*disk.fs(), MODES[0]).unwrap();
        let compressed_blocks = table.properties().compressed_blocks;
        assert_eq!(compressed_blocks, u64::from(is_kept), "{zeros} zeros of 4000");
    }
}
