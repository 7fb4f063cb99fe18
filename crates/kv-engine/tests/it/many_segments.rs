//! A small database that is opened again and again: every open begins a segment
//! of the log, and none of them fills a memory table.

use kv_engine::{Background, Engine, FlushSize, Options};
use kv_env::{DirectoryModel, SimDisk, SimOptions};

use crate::support::{contents, open, settle, tiny};

/// From here on an open leaves the segments to the flush, and beyond four times as
/// many it flushes itself.
const MANY: usize = 16;

fn options() -> Options {
    // The smallest number of zeros in a segment.
    Options { memtable_flush_size: FlushSize::Entries(200), ..tiny() }
}

fn segments(disk: &SimDisk) -> usize {
    let entries = disk.fs().list().unwrap();
    entries.into_iter().filter(|entry| entry.name.starts_with("wal")).count()
}

/// How an engine is used, and how it ends: with the disk for the next one.
type Use = fn(Engine, &SimDisk) -> SimDisk;

fn close(engine: Engine, disk: &SimDisk) -> SimDisk {
    engine.close().unwrap();
    disk.clone()
}

fn settle_and_close(engine: Engine, disk: &SimDisk) -> SimDisk {
    settle(&engine);
    close(engine, disk)
}

fn kill(engine: Engine, disk: &SimDisk) -> SimDisk {
    let killed = disk.kill(disk.op_count());
    drop(engine);
    killed
}

fn settle_and_kill(engine: Engine, disk: &SimDisk) -> SimDisk {
    settle(&engine);
    kill(engine, disk)
}

/// Opens a database `times` times and puts a key at each open, or at the first one
/// only. Returns the most segments there were.
fn cycles(options: &Options, times: u32, writes: bool, use_and_end: Use) -> usize {
    let mut disk = SimDisk::new(8);
    let mut most = 0;
    let mut expected = Vec::new();
    for number in 0..times {
        let engine = open(&disk, options.clone());
        most = most.max(segments(&disk));
        assert_eq!(contents(&engine), expected, "open {number}");
        if writes || number == 0 {
            engine.put(&number.to_be_bytes(), b"value").unwrap();
            expected.push((number.to_be_bytes().to_vec(), b"value".to_vec()));
        }
        disk = use_and_end(engine, &disk);
        disk.forget_history();
    }
    most
}

#[test]
fn segments_stay_few_where_the_background_has_time() {
    for writes in [true, false] {
        for (what, use_and_end) in
            [("closed", settle_and_close as Use), ("killed", settle_and_kill)]
        {
            let most = cycles(&options(), 40, writes, use_and_end);
            assert_eq!(most, MANY + 1, "{what}, writes: {writes}");
        }
    }
}

#[test]
fn segments_stay_bounded_where_the_background_has_no_time() {
    for background in [Background::Manual, Background::Threads] {
        let options = Options { background, ..options() };
        for writes in [true, false] {
            for (what, use_and_end) in [("closed", close as Use), ("killed", kill)] {
                let most = cycles(&options, 150, writes, use_and_end);
                let what = format!("{background:?}, {what}, writes: {writes}: {most}");
                assert!(most <= 4 * MANY, "{what}");
                // Threads may or may not be fast enough.
                assert!(background == Background::Threads || most == 4 * MANY, "{what}");
            }
        }
    }
}

/// One write per open and nothing done in between.
fn restarted(times: usize, sim: SimOptions) -> SimDisk {
    let disk = SimDisk::with_options(4, sim);
    for number in 0..times {
        let engine = open(&disk, options());
        engine.put(&number.to_be_bytes(), b"value").unwrap();
        engine.close().unwrap();
    }
    disk
}

/// Where the background flushes and where the open does, in both models of what a
/// directory loses.
#[test]
fn a_power_cut_anywhere_on_the_way_from_many_segments_to_one_loses_nothing() {
    for directory_model in [DirectoryModel::Weak, DirectoryModel::Ext4] {
        let sim = SimOptions { directory_model, ..SimOptions::default() };
        for times in [MANY, 4 * MANY] {
            let disk = restarted(times, sim);
            let begin = disk.op_count();
            let engine = open(&disk, options());
            let expected = contents(&engine);
            assert_eq!(expected.len(), times);
            settle(&engine);
            assert_eq!(segments(&disk), 1, "{times} opens");
            for op in begin..=disk.op_count() {
                let choices = disk.choices_at(op);
                for &choice in choices.iter().step_by(choices.len().div_ceil(12)) {
                    let what = format!("{directory_model:?}, {times} opens, {op}, {choice:?}");
                    let image = disk.image(op, choice);
                    let engine = Engine::open_in(image.env(), options());
                    let engine = engine.unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert_eq!(contents(&engine), expected, "{what}");
                    settle(&engine);
                    assert_eq!(contents(&engine), expected, "{what}");
                    assert_eq!(segments(&image), 1, "{what}");
                }
            }
        }
    }
}
