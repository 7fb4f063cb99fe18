//! No file is ever reused: each is created, written front to back, finished, and
//! removed. What was found at an open, or has been finished, takes no more bytes.

use std::collections::BTreeMap;

use kv_engine::Options;
use kv_env::{CrashChoice, SimDisk};

use crate::support::{open, settle, tiny};

/// What may still be done to a file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// Created since the open, and not sealed.
    BeingWritten,
    /// Sealed, or found by an open: may be cut, renamed and removed.
    Finished,
}

/// Follows every file through the ops of a disk.
#[derive(Default)]
struct Follower {
    fates: BTreeMap<String, Fate>,
    writes: usize,
}

impl Follower {
    fn open_begins(&mut self) {
        self.fates.values_mut().for_each(|fate| *fate = Fate::Finished);
    }

    #[track_caller]
    fn follow(&mut self, line: &str) {
        // The lock and the reserve hold nothing of the database.
        if line.contains(" LOCK") || line.contains(" RESERVE") {
            return;
        }
        let (_, op) = line.split_once(": ").expect("ops are numbered");
        let words: Vec<&str> = op.split(' ').collect();
        let name = words.last().copied().unwrap_or_default();
        match words[0] {
            "create" if words[1] == "directory" => {}
            "create" => {
                let old = self.fates.insert(name.to_owned(), Fate::BeingWritten);
                assert_eq!(old, None, "{line}: the name is in use");
            }
            "write" => {
                self.writes += 1;
                let fate = self.fates.get(name);
                assert_eq!(fate, Some(&Fate::BeingWritten), "{line}: not a new file");
            }
            "rename" => {
                let fate = self.fates.remove(words[1]).expect("it has a fate");
                let replaced = self.fates.insert(words[3].to_owned(), fate);
                assert_eq!(replaced, None, "{line}: replaces a file");
            }
            "seal" => drop(self.fates.insert(name.to_owned(), Fate::Finished)),
            "remove" => assert!(self.fates.remove(name).is_some(), "{line}"),
            "set" | "sync" | "drop" => {}
            _ => panic!("an op of a new kind: {line}"),
        }
    }
}

#[test]
fn no_file_is_written_again_once_it_was_finished_or_found() {
    let mut disk = SimDisk::new(1);
    let mut follower = Follower::default();
    let mut seen = 0;
    for round in 0..6u32 {
        follower.open_begins();
        let engine = open(&disk, Options { reserve_bytes: Some(0), ..tiny() });
        for number in 0..50u32 {
            engine.put(&(number % 17).to_be_bytes(), &round.to_be_bytes()).unwrap();
            if number % 13 == 0 {
                settle(&engine);
            }
        }
        let mut killed = None;
        match round % 3 {
            0 => {
                engine.compact().unwrap();
                engine.close().unwrap();
            }
            // The handle is dropped while memory tables wait.
            1 => drop(engine),
            // Segments end without a mark.
            _ => killed = Some(disk.kill(disk.op_count())),
        }
        let history = disk.history();
        history[seen..].iter().for_each(|line| follower.follow(line));
        disk = killed.unwrap_or(disk);
        seen = disk.history().len();
    }
    assert!(follower.writes > 300, "{}", follower.writes);
}

/// The numbers of manifests and tables only rise, over crashes too: a name in use
/// by an old file is never given to a new one.
#[test]
fn numbers_of_files_are_never_given_twice() {
    let mut disk = SimDisk::new(2);
    let mut highest: BTreeMap<&str, u64> = BTreeMap::new();
    for round in 0..8u64 {
        let from = disk.history().len();
        let engine = open(&disk, tiny());
        for number in 0..30u32 {
            engine.put(&number.to_be_bytes(), b"value").unwrap();
            engine.run_background_step().unwrap();
        }
        let mut made_table = 0;
        for line in &disk.history()[from..] {
            let Some((op, name)) = line.split_once(": create ") else { continue };
            let Some((_, rest)) = name.split_once('_') else { continue };
            let digits = rest.trim_end_matches(".db").trim_end_matches(".log");
            let Ok(number) = digits.parse::<u64>() else { continue };
            // Tables of both kinds share their numbers.
            let kind = if name.ends_with(".db") { "table" } else { "manifest" };
            if kind == "table" {
                made_table = op.trim_start_matches("op ").parse().unwrap();
            }
            let last = highest.insert(kind, number).unwrap_or(0);
            assert!(number > last, "{line}: {last} was there before");
        }
        // The power goes while the last table is written, which no manifest names.
        disk = disk.image(made_table + 2, CrashChoice::Seeded(round));
        drop(engine);
    }
    assert!(highest["table"] > 20 && highest["manifest"] == 8, "{highest:?}");
}
