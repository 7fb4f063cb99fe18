//! The seeds of the fuzz targets that put raw bytes in place of one part of a
//! table: the part as it is. Without it a target does not get past the first check
//! of its decoder, and nobody would notice after a change of the format.

use kv_sstable::{Compression, TableOptions};

use crate::forge::Parts;
use crate::support::{delete, put, table_bytes};

/// The table of `fuzz/src/section.rs`.
fn parts() -> Parts {
    let entries: Vec<_> = (0..9)
        .map(|number| {
            let key = [b'k', number];
            if number == 4 { delete(key, 4) } else { put(key, number.into(), [b'v'; 9]) }
        })
        .collect();
    let options =
        TableOptions { block_bytes: 48, compression: Compression::None, ..TableOptions::default() };
    Parts::of(&table_bytes(&options, &entries))
}

#[test]
fn the_seeds_of_the_fuzz_targets_are_sound() {
    let parts = parts();
    let expected: [(&str, &[u8], &[u8]); 3] = [
        ("index", include_bytes!("../../../../fuzz/corpus/index/sound"), &parts.index),
        ("filter", include_bytes!("../../../../fuzz/corpus/filter/sound"), &parts.filter),
        ("block", include_bytes!("../../../../fuzz/corpus/block/sound"), &parts.blocks[0]),
    ];
    for (target, seed, part) in expected {
        assert_eq!(seed, part, "the bytes on the right belong into fuzz/corpus/{target}/sound");
    }
}
