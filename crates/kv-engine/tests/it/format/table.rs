//! Tables.

use super::Version;
use super::bytes::{FileHeader, Reader};

/// Every entry of a table, in order.
pub(super) fn read(file: &[u8]) -> Vec<Version> {
    let header = FileHeader::read(file, b"kv.sst\r\n");
    let footer_at = file.len() - 64;
    let footer = &file[footer_at..];
    assert_eq!(&footer[56..], b"kv.sst.f");
    let covered = [&footer[..52], &footer[56..]].concat();
    let checksum = u32::from_le_bytes(footer[52..56].try_into().unwrap());
    assert_eq!(header.checksum(footer_at as u64, &covered), checksum);
    let mut reader = Reader(footer);
    let sections: Vec<&[u8]> = (0..3)
        .map(|_| {
            let (offset, len, checksum) = (reader.u64(), reader.u32() as usize, reader.u32());
            let section = &file[offset as usize..offset as usize + len];
            assert!(len == 0 || header.checksum(offset, section) == checksum);
            section
        })
        .collect();
    let [filter, index, properties] = sections[..] else { panic!("three sections") };
    let lines = u32::from_le_bytes(filter[..4].try_into().unwrap()) as usize;
    assert_eq!(filter.len(), 16 + 64 * lines);
    let properties_at = footer_at - properties.len();
    let entries = header.metadata(properties_at as u64, properties).integer();
    let versions = read_blocks(file, &header, index);
    assert_eq!(versions.len() as u64, entries);
    assert!(versions.iter().all(|entry| may_contain(filter, header.key_hash(&entry.key))));
    assert!(versions.windows(2).all(|pair| pair[0].key < pair[1].key));
    versions
}

/// Asks the stored filter for a key with this hash.
fn may_contain(filter: &[u8], hash: u64) -> bool {
    let mut reader = Reader(filter);
    let (lines, probes, kind) = (u64::from(reader.u32()), reader.u8(), reader.u8());
    assert_eq!((kind, reader.u16()), (1, 0));
    let a = (hash ^ reader.u64()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let line = ((a >> 32) * lines) >> 32;
    let b = (a ^ (a >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (0..u32::from(probes)).all(|probe| {
        let bit = (b >> (64 - 9 * (probe + 1))) % 512;
        let word = (8 * line + bit / 64) as usize;
        let stored = reader.0[8 * word..8 * word + 8].try_into().unwrap();
        u64::from_le_bytes(stored) >> (bit % 64) & 1 == 1
    })
}

fn read_blocks(file: &[u8], header: &FileHeader, index: &[u8]) -> Vec<Version> {
    let mut reader = Reader(index);
    let count = reader.u32() as usize;
    let separator_bytes = reader.u32() as usize;
    let mut numbers = || (0..count).map(|_| reader.u32()).collect::<Vec<u32>>();
    let (lens, checksums, ends) = (numbers(), numbers(), numbers());
    let separators = reader.take(separator_bytes);
    assert!(reader.0.is_empty());
    let mut versions = Vec::new();
    let (mut at, mut separator_at) = (80, 0);
    for number in 0..count {
        let stored = &file[at..at + lens[number] as usize + 5];
        let (covered, trailer) = stored.split_at(stored.len() - 4);
        assert_eq!(header.checksum(at as u64, covered), checksums[number]);
        assert_eq!(checksums[number].to_le_bytes(), trailer);
        let (compression, payload) = covered.split_last().unwrap();
        let block = match compression {
            0 => payload.to_vec(),
            1 => lz4(payload),
            other => panic!("compression {other}"),
        };
        let entries = read_block(header, &block);
        let separator = &separators[separator_at..ends[number] as usize];
        assert!(separator <= entries[0].key.as_slice());
        assert!(versions.last().is_none_or(|last: &Version| last.key.as_slice() < separator));
        separator_at = ends[number] as usize;
        at += stored.len();
        versions.extend(entries);
    }
    versions
}

fn read_block(header: &FileHeader, block: &[u8]) -> Vec<Version> {
    let tail = &block[block.len() - 4..];
    let count = usize::from(u16::from_le_bytes([tail[0], tail[1]]));
    let interval = usize::from(tail[2]);
    assert_eq!(tail[3], 1);
    let mut offsets = Reader(&block[block.len() - 4 - 3 * count..]);
    let mut group_key = Vec::new();
    (0..count)
        .map(|number| {
            let mut entry = Reader(&block[usize::from(offsets.u16())..]);
            let (shared, suffix) = (entry.varint() as usize, entry.varint() as usize);
            let (size, seqno) = (entry.varint(), entry.varint());
            let mut key: Vec<u8> = Vec::new();
            if number % interval != 0 {
                key.extend_from_slice(&group_key[..shared]);
            } else {
                assert_eq!(shared, 0);
            }
            key.extend_from_slice(entry.take(suffix));
            assert_eq!(block[block.len() - 4 - count + number], header.key_hash(&key) as u8);
            if number % interval == 0 {
                group_key.clone_from(&key);
            }
            let value = (size & 7 == 1).then(|| entry.take(size as usize >> 3).to_vec());
            Version { key, seqno, value }
        })
        .collect()
}

/// The LZ4 block format behind a u32 with the length of the output.
fn lz4(payload: &[u8]) -> Vec<u8> {
    let mut input = Reader(payload);
    let len = input.u32() as usize;
    let mut out: Vec<u8> = Vec::with_capacity(len);
    let extended = |input: &mut Reader<'_>, nibble: u8| {
        let mut length = usize::from(nibble);
        if nibble == 15 {
            loop {
                let byte = input.u8();
                length += usize::from(byte);
                if byte != 255 {
                    break;
                }
            }
        }
        length
    };
    loop {
        let token = input.u8();
        let literals = extended(&mut input, token >> 4);
        out.extend_from_slice(input.take(literals));
        if input.0.is_empty() {
            assert_eq!(out.len(), len);
            return out;
        }
        let distance = usize::from(input.u16());
        let match_len = extended(&mut input, token & 15) + 4;
        for _ in 0..match_len {
            out.push(out[out.len() - distance]);
        }
    }
}
