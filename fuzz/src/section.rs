//! One part of a table made of raw bytes, the rest sound around it: the
//! decoders of blocks, filters and indexes without anything in between.

use kv_core::{Kind, OwnedEntry, SeqNo};
use kv_sstable::{Compression, TableOptions};

use crate::table::{build, examine};
use crate::table_forge::Parts;

/// Reads a table whose first block is `data`; its last byte says how it is
/// compressed.
pub fn run_block(data: &[u8]) {
    let Some(compression) = data.last() else { return };
    let is_compressed = *compression != 0;
    run(data, is_compressed, |parts| parts.blocks[0] = data.to_vec());
}

/// Reads a table whose filter is `data`.
pub fn run_filter(data: &[u8]) {
    run(data, false, |parts| parts.filter = data.to_vec());
}

/// Reads a table whose index is `data`.
pub fn run_index(data: &[u8]) {
    run(data, false, |parts| parts.index = data.to_vec());
}

fn run(data: &[u8], may_be_compressed: bool, replace: impl FnOnce(&mut Parts)) {
    thread_local!(static PARTS: Parts = Parts::of(&build(&entries(), options())));
    let mut parts = PARTS.with(Parts::clone);
    replace(&mut parts);
    let mut probes: Vec<Vec<u8>> = entries().into_iter().map(|entry| entry.key).collect();
    // Pieces of the input are the keys that it may hold.
    let pieces = data.chunks(7).take(4);
    probes.extend(pieces.map(|piece| [b"k", piece].concat()));
    examine(&parts.seal(), may_be_compressed, &probes);
}

fn entries() -> Vec<OwnedEntry> {
    (0..9u8)
        .map(|number| OwnedEntry {
            key: vec![b'k', number],
            seqno: SeqNo(u64::from(number)),
            kind: if number == 4 { Kind::Delete } else { Kind::Put },
            value: vec![b'v'; if number == 4 { 0 } else { 9 }],
        })
        .collect()
}

fn options() -> TableOptions {
    TableOptions { block_bytes: 48, compression: Compression::None, ..TableOptions::default() }
}
