//! Crashing at any op, and the list of crashes worth trying.

use std::collections::BTreeSet;

use kv_core::Result;
use kv_env::{CrashChoice, Fs, SimDisk};

/// A small run with files, names and syncs.
fn run(fs: &dyn Fs) -> Result<()> {
    let _lock = fs.lock("LOCK")?;
    let mut log = fs.create("wal.tmp")?;
    log.zero_fill(8192)?;
    log.sync()?;
    fs.rename("wal.tmp", "wal.log")?;
    fs.sync_dir()?;
    for round in 1..4_u8 {
        log.append(&[round; 700])?;
        log.append(&[round; 300])?;
        log.sync()?;
    }
    let mut table = fs.create("sst_1.db")?;
    table.append(&[9; 5000])?;
    table.seal()?;
    fs.sync_dir()?;
    fs.remove("wal.log")?;
    fs.sync_dir()
}

#[test]
fn images_of_earlier_ops_are_what_a_machine_stopped_there_leaves() {
    let whole = SimDisk::new(5);
    run(&*whole.fs()).unwrap();
    let mut images = 0;
    for op in 0..=whole.op_count() {
        let stopped = SimDisk::new(5);
        stopped.stop_at(op);
        assert_eq!(run(&*stopped.fs()).is_err(), op < whole.op_count());
        assert_eq!(stopped.op_count(), op);
        assert_eq!(stopped.is_stopped(), op < whole.op_count());
        for (choice, image) in whole.images(op) {
            assert_eq!(
                image.fingerprint(),
                stopped.crash(choice).fingerprint(),
                "op {op}, {choice:?}, after\n{}",
                stopped.history().join("\n")
            );
            images += 1;
        }
    }
    assert!(images > 200, "{images}");
}

#[test]
fn a_stopped_machine_answers_nothing() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    let mut file = fs.create("a").unwrap();
    let reader = fs.open("a").unwrap();
    disk.stop_at(disk.op_count() + 1);
    file.append(b"x").unwrap();
    // Reads go on until the op in question is asked for.
    assert_eq!(reader.read_at(0, &mut [0; 1]).unwrap(), 1);
    assert!(file.append(b"x").is_err());
    assert!(reader.read_at(0, &mut [0; 1]).is_err());
    assert!(fs.list().is_err() && fs.open("a").is_err() && fs.lock("LOCK").is_err());
    assert!(fs.sync_dir().is_err() && fs.create("a").is_err() && fs.free_space().is_err());
    assert_eq!(disk.op_count(), 2);
}

#[test]
fn taking_an_image_changes_nothing_and_images_are_disks_of_their_own() {
    let disk = SimDisk::new(1);
    let mut file = disk.fs().create("a").unwrap();
    file.append(b"x").unwrap();
    let before = (disk.fingerprint(), disk.op_count());
    let image = disk.crash(CrashChoice::All);
    image.fs().create("b").unwrap();
    image.write_file("a", b"other");
    assert_eq!((disk.fingerprint(), disk.op_count()), before);
    assert_eq!(disk.read_file("a").unwrap(), b"x");
    // An image crashes like any disk, so recoveries can be cut short as well.
    assert_eq!(image.op_count(), 2);
    assert_eq!(image.crash(CrashChoice::None).read_file("a").unwrap(), b"other");
    assert_eq!(image.crash(CrashChoice::None).read_file("b"), None);
}

#[test]
fn the_same_seed_gives_the_same_images_and_another_seed_others() {
    let images = |seed| {
        let disk = SimDisk::new(seed);
        run(&*disk.fs()).unwrap();
        // The op before the table is synced has the most unsynced changes.
        let op = (0..disk.op_count()).max_by_key(|op| disk.unsynced_changes(*op)).unwrap();
        let prints: Vec<u64> = disk.images(op).map(|(_, image)| image.fingerprint()).collect();
        prints
    };
    assert_eq!(images(3), images(3));
    assert_ne!(images(3), images(4));
}

#[test]
fn a_prefix_follows_the_order_of_the_ops_over_all_files() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    let mut files = ["a", "b"].map(|name| fs.create(name).unwrap());
    fs.sync_dir().unwrap();
    files[1].append(b"first").unwrap();
    fs.create("second").unwrap();
    files[0].append(b"third").unwrap();
    let kept = |len| {
        let image = disk.crash(CrashChoice::Prefix(len));
        let text = |name| image.read_file(name).map(|bytes| String::from_utf8(bytes).unwrap());
        (text("b").unwrap(), text("second").is_some(), text("a").unwrap())
    };
    let state = |b: &str, second, a: &str| (b.to_owned(), second, a.to_owned());
    // A small append is two changes: its sector, and the new length.
    assert_eq!(disk.unsynced_changes(disk.op_count()), 5);
    assert_eq!(kept(0), state("", false, ""));
    assert_eq!(kept(2), state("first", false, ""));
    assert_eq!(kept(3), state("first", true, ""));
    assert_eq!(kept(4), state("first", true, "third"));
}

#[test]
fn images_do_not_repeat() {
    let disk = SimDisk::new(1);
    run(&*disk.fs()).unwrap();
    for op in 0..=disk.op_count() {
        let prints: Vec<u64> = disk.images(op).map(|(_, image)| image.fingerprint()).collect();
        let different: BTreeSet<u64> = prints.iter().copied().collect();
        assert_eq!(prints.len(), different.len());
        assert!(!prints.is_empty());
    }
}

#[test]
fn a_forgotten_history_leaves_the_disk_as_it_is() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    let mut file = fs.create("a").unwrap();
    file.append(b"x").unwrap();
    let removed = fs.create("b").unwrap();
    let reader = fs.open("b").unwrap();
    fs.remove("b").unwrap();
    fs.create("newest").unwrap();
    fs.sync_dir().unwrap();
    let ops = disk.op_count();
    drop(removed);
    disk.forget_history();
    assert_eq!(disk.op_count(), ops);
    assert!(disk.history().is_empty());
    assert_eq!(reader.read_at(0, &mut [0; 1]).unwrap(), 0);
    assert_eq!(disk.crash(CrashChoice::None).read_file("a").unwrap(), b"");
    file.sync().unwrap();
    drop(reader);
    disk.forget_history();
    assert_eq!(disk.crash(CrashChoice::None).read_file("a").unwrap(), b"x");
    fs.create("c").unwrap();
    assert_eq!(disk.history().len(), 1);
}
