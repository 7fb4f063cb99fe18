//! A manifest whose checksums are right and whose edits cannot be meant.

use kv_engine::{Engine, Error, VersionEdit};
use kv_env::{CrashChoice, SimDisk};
use kv_wal::LogWriter;

use crate::support::{open, tiny};

/// Is damage of that file, named with the place, and not an error of whoever
/// opened the database.
#[test]
fn an_impossible_edit_is_damage_of_the_manifest() {
    let disk = SimDisk::new(3);
    drop(open(&disk, tiny()));
    let disk = disk.crash(CrashChoice::All);
    let name = kv_engine::current_manifest(&disk.env()).unwrap().unwrap();
    let header = kv_wal::read_header(&*disk.fs(), &name, kv_core::FileKind::Manifest).unwrap();
    let first = kv_engine::read_manifest_edits(&*disk.fs(), &name).unwrap().remove(0);
    let impossible = VersionEdit { removed: vec![(0, 77)], ..VersionEdit::default() };

    let forgery = SimDisk::new(4);
    let mut log = LogWriter::create(&*forgery.fs(), &name, header, 64 << 10).unwrap();
    for edit in [first, impossible] {
        let lsn = log.end().0;
        log.append(&edit.encode(header.seed(), lsn).unwrap()).unwrap();
    }
    log.sync().unwrap();
    disk.write_file(&name, &forgery.read_file(&name).unwrap());

    let Err(error) = Engine::open_in(disk.env(), tiny()) else { panic!("it opens") };
    let Error::Corruption { file, offset, what } = &error else { panic!("{error}") };
    assert_eq!(*file, name);
    assert!(*offset > 4096 && what.contains("table 77 is not in level 0"), "{error}");
}
