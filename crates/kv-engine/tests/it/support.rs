//! Small engines for tests, and values that say where they belong.

use kv_engine::{Background, Durability, Engine, FlushSize, KeyRange, Options, current_manifest};
use kv_env::SimDisk;

/// Options under which a few writes already freeze, flush and compact.
pub(crate) fn tiny() -> Options {
    Options {
        memtable_flush_size: FlushSize::Entries(8),
        compaction_sstable_threshold: 2,
        background: Background::Manual,
        block_cache_bytes: 1 << 16,
        ..Options::default()
    }
}

/// Options with threads and small memory tables.
pub(crate) fn small_threaded() -> Options {
    Options {
        memtable_flush_size: FlushSize::Entries(200),
        compaction_sstable_threshold: 2,
        durability: Durability::Os,
        ..Options::default()
    }
}

pub(crate) fn open(disk: &SimDisk, options: Options) -> Engine {
    Engine::open_in(disk.env(), options).expect("the database opens")
}

/// Does background work until there is none.
pub(crate) fn settle(engine: &Engine) {
    while engine.run_background_step().expect("background work succeeds") {}
}

/// A database that was opened, written to and closed three times, and the name and
/// bytes of each manifest as its close left it.
pub(crate) fn generations(seed: u64) -> (SimDisk, Vec<(String, Vec<u8>)>) {
    let disk = SimDisk::new(seed);
    let mut manifests = Vec::new();
    for number in 0..3u32 {
        let engine = open(&disk, tiny());
        engine.put(&number.to_be_bytes(), b"value").unwrap();
        engine.close().unwrap();
        let name = current_manifest(&disk.env()).unwrap().unwrap();
        manifests.push((name.clone(), disk.read_file(&name).unwrap()));
    }
    (disk, manifests)
}

/// Everything a scan shows, forwards; checked against the way back.
pub(crate) fn contents(engine: &Engine) -> Vec<(Vec<u8>, Vec<u8>)> {
    let collect = |scan: kv_engine::Scan| -> Vec<(Vec<u8>, Vec<u8>)> {
        scan.map(|entry| entry.expect("the scan reads"))
            .map(|(key, value)| (key, value.to_vec()))
            .collect()
    };
    let forward = collect(engine.scan(KeyRange::all()).expect("a scan starts"));
    let mut backward = collect(engine.scan(KeyRange::all()).expect("a scan starts").reverse());
    backward.reverse();
    assert_eq!(forward, backward, "both directions show the same");
    forward
}
