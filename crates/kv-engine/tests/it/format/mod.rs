//! docs/FORMAT.md, put to the test: a reader written from that page alone, with
//! none of the engine's code, reads a whole database directory.

mod bytes;
mod log;
mod manifest;
mod table;

use std::collections::BTreeMap;

use kv_engine::{Compression, Durability, FlushSize, Options, TableOptions, WriteBatch};
use kv_env::SimDisk;

use crate::support::{contents, open, settle, tiny};
use bytes::FileHeader;

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// One write of a key, wherever it was found.
pub(crate) struct Version {
    pub(crate) key: Vec<u8>,
    pub(crate) seqno: u64,
    /// `None` for a delete.
    pub(crate) value: Option<Vec<u8>>,
}

/// Reads every file of the directory and puts the newest versions together.
fn read_directory(disk: &SimDisk) -> State {
    let names: Vec<String> =
        disk.fs().list().unwrap().into_iter().map(|entry| entry.name).collect();
    let file = |name: &str| disk.read_file(name).expect("the file is there");
    let manifest = names.iter().filter(|name| name.starts_with("MANIFEST_")).max().unwrap();
    let tree = manifest::read(&file(manifest));
    let mut versions = Vec::new();
    for table in &tree.tables {
        let bytes = file(&table.name);
        assert_eq!(bytes.len() as u64, table.file_bytes);
        assert_eq!(FileHeader::read(&bytes, b"kv.sst\r\n").file_id, table.id);
        let footer = &bytes[bytes.len() - 64..];
        assert_eq!(table.checksum.to_le_bytes(), footer[52..56]);
        let entries = table::read(&bytes);
        assert_eq!(entries.len() as u64, table.entries);
        versions.extend(entries);
    }
    let mut segments: Vec<(u64, Vec<u8>)> = names
        .iter()
        .filter(|name| name.ends_with(".log"))
        .map(|name| file(name))
        .map(|bytes| (FileHeader::read(&bytes, b"kv.wal\r\n").file_id, bytes))
        .collect();
    segments.sort();
    let ids: Vec<u64> = segments.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, (tree.oldest_segment..=tree.newest_segment).collect::<Vec<u64>>());
    for (id, bytes) in &segments {
        assert_eq!(tree.segment_uids[id], bytes[48..64], "the manifest knows it");
        let end = tree.segment_ends.get(id).map_or(bytes.len(), |&end| end as usize);
        let writes =
            log::records(&bytes[..end], b"kv.wal\r\n").into_iter().flat_map(log::read_batch);
        versions.extend(writes.filter(|write| write.seqno > tree.flushed_through));
    }
    versions.sort_by_key(|version| version.seqno);
    let mut state = State::new();
    for version in versions {
        match version.value {
            Some(value) => state.insert(version.key, value),
            None => state.remove(&version.key),
        };
    }
    state
}

#[test]
fn a_reader_written_from_the_page_alone_reads_every_file() {
    for compression in [Compression::None, Compression::Lz4] {
        let disk = SimDisk::new(3);
        let table = TableOptions { compression, block_bytes: 512, ..TableOptions::default() };
        let options = Options { memtable_flush_size: FlushSize::Entries(60), table, ..tiny() };
        let engine = open(&disk, options);
        for number in 0..400u32 {
            let mut batch = WriteBatch::new();
            let key = format!("key:{:04}", number * 37 % 250);
            batch.put(key.as_bytes(), &[number as u8; 70]).unwrap();
            batch.put(format!("long:{}", number % 7).as_bytes(), &vec![7; 9000]).unwrap();
            batch.delete(format!("key:{:04}", number * 11 % 250).as_bytes()).unwrap();
            engine.write(batch, Durability::Sync).unwrap();
            if number % 50 == 0 {
                settle(&engine);
            }
        }
        assert!(engine.stats().compactions > 0 && engine.stats().memtable_entries > 0);
        let expected: State = contents(&engine).into_iter().collect();
        assert!(expected.len() > 100);
        assert_eq!(read_directory(&disk), expected);
        engine.close().unwrap();
        assert_eq!(read_directory(&disk), expected, "and after an orderly close");
    }
}

/// 12 tables with keys of the greatest length: a record of the manifest holds seven.
#[test]
fn it_reads_an_edit_of_several_records() {
    let disk = SimDisk::new(3);
    for _ in 0..2 {
        let engine = open(&disk, tiny());
        for number in 0..12u8 {
            engine.put(&[&[number; 1][..], &[b'k'; 65_534]].concat(), b"value").unwrap();
            engine.flush().unwrap();
        }
        let expected: State = contents(&engine).into_iter().collect();
        assert_eq!(expected.len(), 12);
        assert!(read_directory(&disk) == expected);
        engine.close().unwrap();
        assert!(read_directory(&disk) == expected);
    }
    let name = kv_engine::current_manifest(&disk.env()).unwrap().unwrap();
    assert!(manifest::longest_edit(&disk.read_file(&name).unwrap()) > 1, "in several records");
}
