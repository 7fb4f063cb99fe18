//! Segments under wrong names: identity is the id in the header, and an open
//! gives each segment the name of its id. None is lost on the way.

use kv_engine::{Engine, Error, verify_directory};
use kv_env::SimDisk;

use crate::support::{contents, open, tiny};

/// What a killed process leaves: a write in each of two sealed segments and in
/// the active one.
fn specimen() -> SimDisk {
    let mut disk = SimDisk::new(41);
    for number in 0..3u8 {
        let engine = open(&disk, tiny());
        engine.put(&[number], b"value").unwrap();
        disk = disk.kill(disk.op_count());
    }
    disk
}

/// Killed again and again, every open finds all of it.
fn assert_keeps_all(disk: &SimDisk, what: &str) {
    let mut disk = disk.kill(disk.op_count());
    for _ in 0..3 {
        let engine = open(&disk, tiny());
        assert_eq!(contents(&engine).len(), 3, "{what}");
        disk = disk.kill(disk.op_count());
    }
}

#[test]
fn any_free_name_will_do() {
    for name in ["wal_000001.log", "wal.log"] {
        for other in ["wal_next.log", "wal_000077.log"] {
            let disk = specimen();
            disk.fs().rename(name, other).unwrap();
            assert_keeps_all(&disk, &format!("{name} is called {other}"));
        }
    }
}

/// An empty file, say, that a copy of the directory has left.
#[test]
fn a_leftover_under_the_name_that_a_segment_is_given_costs_nothing() {
    for bytes in [vec![], vec![0x55; 5000]] {
        let disk = specimen();
        disk.write_file("wal_000003.log", &bytes);
        let engine = open(&disk, tiny());
        assert_eq!(engine.recovery_report().removed, ["wal_000003.log"]);
        assert_keeps_all(&disk, &format!("{} bytes", bytes.len()));
    }
}

/// Neither may be replaced by the other: who has exchanged them must exchange
/// them again.
#[test]
fn exchanged_names_are_refused_and_nothing_is_changed() {
    for (one, other) in [("wal_000001.log", "wal_000002.log"), ("wal_000002.log", "wal.log")] {
        let exchange = |disk: &SimDisk| {
            let fs = disk.fs();
            fs.rename(one, "aside").unwrap();
            fs.rename(other, one).unwrap();
            fs.rename("aside", other).unwrap();
        };
        let disk = specimen();
        exchange(&disk);
        let before = disk.fingerprint();
        let error = Engine::open_in(disk.env(), tiny()).map(|_| ()).unwrap_err();
        let is_named = matches!(&error, Error::Corruption { file, offset: 40, .. } if file == one);
        assert!(is_named && error.to_string().contains("the name of its own number"), "{error}");
        assert_eq!(disk.fingerprint(), before);
        let report = verify_directory(&disk.env(), true).unwrap();
        assert!(report.problems.iter().any(|problem| problem.file == one), "{report:?}");
        exchange(&disk);
        assert_keeps_all(&disk, "exchanged twice");
    }
}

/// The new segment takes the name that was the only durable one of the last.
#[test]
fn the_name_of_a_sealed_segment_is_durable_before_its_old_one_is_given_away() {
    let disk = SimDisk::new(6);
    let engine = open(&disk, tiny());
    engine.put(b"key", b"value").unwrap();
    engine.close().unwrap();
    disk.forget_history();
    open(&disk, tiny());
    let history = disk.history();
    let place = |what: &str| {
        let found = history.iter().position(|line| line.contains(what));
        found.unwrap_or_else(|| panic!("{what}: {history:#?}"))
    };
    let (renamed, created) = (place("rename wal.log"), place("create wal.log"));
    let between = &history[renamed..created];
    assert!(between.iter().any(|line| line.contains("sync the directory")), "{history:#?}");
}
