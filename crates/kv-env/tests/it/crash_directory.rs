//! What a power cut leaves of the names of files.

use std::collections::BTreeSet;

use kv_env::{DirectoryModel, Failure, Fault, Fs, Operation, SimDisk, SimOptions};

/// The different sets of `name=contents` that a power cut now may leave.
fn outcomes(disk: &SimDisk) -> BTreeSet<String> {
    let op = disk.op_count();
    disk.images(op).map(|(_, image)| names_and_bytes(&image)).collect()
}

fn names_and_bytes(disk: &SimDisk) -> String {
    let text = |name: &str| {
        let bytes = disk.read_file(name)?;
        Some(format!("{name}={}", String::from_utf8_lossy(&bytes)))
    };
    let top = disk.fs().list().unwrap();
    let of_entry = |name: &str| text(name).unwrap_or_else(|| format!("{name}/"));
    let mut all: Vec<String> = top.iter().map(|entry| of_entry(&entry.name)).collect();
    all.extend(text("quarantine/a"));
    all.join(" ")
}

fn set<const N: usize>(texts: [&str; N]) -> BTreeSet<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

fn create(fs: &dyn Fs, name: &str) {
    let mut file = fs.create(name).unwrap();
    file.append(name.as_bytes()).unwrap();
    file.sync().unwrap();
}

#[test]
fn a_new_name_needs_a_sync_of_the_directory_and_not_of_the_file() {
    let disk = SimDisk::new(1);
    create(&*disk.fs(), "a");
    assert_eq!(outcomes(&disk), set(["", "a=a"]));
    disk.fs().sync_dir().unwrap();
    assert_eq!(outcomes(&disk), set(["a=a"]));
    disk.fs().remove("a").unwrap();
    assert_eq!(outcomes(&disk), set(["", "a=a"]));
}

#[test]
fn names_are_lost_on_their_own_unless_a_journal_orders_them() {
    let run = |directory_model| {
        let options = SimOptions { directory_model, ..Default::default() };
        let disk = SimDisk::with_options(1, options);
        create(&*disk.fs(), "a");
        create(&*disk.fs(), "b");
        outcomes(&disk)
    };
    assert_eq!(run(DirectoryModel::Weak), set(["", "a=a", "b=b", "a=a b=b"]));
    assert_eq!(run(DirectoryModel::Ext4), set(["", "a=a", "a=a b=b"]));
}

#[test]
fn a_rename_leaves_the_old_name_or_the_new_one() {
    let disk = SimDisk::new(1);
    disk.write_file("current", b"old");
    disk.write_file("tmp", b"new");
    disk.fs().rename("tmp", "current").unwrap();
    assert_eq!(outcomes(&disk), set(["current=old tmp=new", "current=new"]));
}

#[test]
fn a_file_renamed_before_its_name_was_durable_may_have_only_the_new_one() {
    let disk = SimDisk::new(1);
    create(&*disk.fs(), "tmp");
    disk.fs().rename("tmp", "b").unwrap();
    assert_eq!(outcomes(&disk), set(["", "tmp=tmp", "b=tmp"]));
}

#[test]
fn no_change_destroys_a_file_whose_own_move_was_lost() {
    let disk = SimDisk::new(1);
    disk.write_file("wal.log", b"1");
    disk.write_file("next", b"2");
    disk.fs().rename("wal.log", "wal_1.log").unwrap();
    disk.fs().rename("next", "wal.log").unwrap();
    assert_eq!(
        outcomes(&disk),
        set(["next=2 wal.log=1", "next=2 wal_1.log=1", "wal.log=2 wal_1.log=1"])
    );
}

#[test]
fn a_name_used_again_belongs_to_one_file_at_a_time() {
    let disk = SimDisk::new(1);
    disk.write_file("a", b"old");
    disk.fs().remove("a").unwrap();
    create(&*disk.fs(), "a");
    assert_eq!(outcomes(&disk), set(["", "a=a", "a=old"]));
}

#[test]
fn a_move_into_a_lost_sub_directory_did_not_happen() {
    let disk = SimDisk::new(1);
    disk.write_file("a", b"x");
    disk.fs().create_dir("quarantine").unwrap();
    disk.fs().rename("a", "quarantine/a").unwrap();
    assert_eq!(outcomes(&disk), set(["a=x", "a=x quarantine/", "quarantine/ quarantine/a=x"]));
    disk.fs().sync_dir().unwrap();
    assert_eq!(outcomes(&disk), set(["quarantine/ quarantine/a=x"]));
}

#[test]
fn after_a_failed_sync_of_the_directory_no_later_one_helps() {
    let disk = SimDisk::new(1);
    create(&*disk.fs(), "a");
    disk.inject(Fault::new(Failure::Device).of(Operation::SyncDir).times(1));
    assert!(disk.fs().sync_dir().is_err());
    create(&*disk.fs(), "b");
    disk.fs().sync_dir().unwrap();
    assert_eq!(outcomes(&disk), set(["b=b", "a=a b=b"]));
    // A later change of the same file that is synced ends the doubt.
    disk.fs().rename("a", "c").unwrap();
    disk.fs().sync_dir().unwrap();
    assert_eq!(outcomes(&disk), set(["b=b c=a"]));
}

/// An entry that is on the disk leaves its name to nobody else, so whatever
/// made way for it is there too, however many steps back.
#[test]
fn a_name_that_is_taken_again_settles_what_freed_it() {
    let disk = SimDisk::new(1);
    disk.write_file("active", b"1");
    disk.write_file("next", b"2");
    let fs = disk.fs();
    fs.rename("active", "sealed").unwrap();
    fs.rename("next", "active").unwrap();
    disk.inject(Fault::new(Failure::Device).of(Operation::SyncDir).times(1));
    assert!(fs.sync_dir().is_err());
    fs.sync_dir().unwrap();
    // Each rename on its own, but no name is taken from the other file.
    let in_doubt = ["active=1 next=2", "next=2 sealed=1", "active=2 sealed=1"];
    assert_eq!(outcomes(&disk), set(in_doubt), "to repeat the sync does not help");
    create(&*fs, "next");
    fs.sync_dir().unwrap();
    assert_eq!(outcomes(&disk), set(["active=2 next=next sealed=1"]));
}

#[test]
fn a_name_may_be_durable_while_its_bytes_are_not() {
    let disk = SimDisk::new(1);
    disk.fs().create("a").unwrap().append(b"x").unwrap();
    disk.fs().sync_dir().unwrap();
    assert!(outcomes(&disk).contains("a="));
}
