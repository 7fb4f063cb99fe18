//! Repair: a database whose files were damaged in any way is salvaged into a
//! sound one that holds nothing that was never written.

use arbitrary::Arbitrary;
use kv_engine::{Engine, RepairOptions, repair, verify_directory};
use kv_env::SimDisk;

use crate::allocation::bounded_by;
use crate::damage::{Damage, apply_all};
use crate::specimen::{self, ENGINE_BYTES, Specimen, contents, is_written};

/// What is done to the files of a database.
#[derive(Debug, Arbitrary)]
pub struct Recipe {
    /// The number of a file and what happens to it.
    files: Vec<(u8, Fate)>,
}

#[derive(Debug, Arbitrary)]
enum Fate {
    Damaged(Vec<Damage>),
    Replaced(Vec<u8>),
    /// Takes the bytes of another file.
    Copied(u8),
    Lost,
}

/// Files that one recipe may touch.
const MAX_FATES: usize = 8;

/// Salvages a damaged database and opens what comes of it.
pub fn run(recipe: &Recipe) {
    thread_local!(static SPECIMEN: Specimen = Specimen::new());
    SPECIMEN.with(|specimen| examine(specimen, recipe));
}

fn examine(specimen: &Specimen, recipe: &Recipe) {
    let names = specimen.file_names();
    let disk = specimen.with_file(&names[0], &specimen.read(&names[0]));
    for (number, fate) in recipe.files.iter().take(MAX_FATES) {
        fate.befall(&disk, &names, &names[usize::from(*number) % names.len()]);
    }
    let (target, input_bytes) = (SimDisk::new(3), specimen.size_bytes());
    let limit = 4 * input_bytes + ENGINE_BYTES;
    let repaired =
        bounded_by(limit, || repair(&disk.env(), &target.env(), &RepairOptions::default()));
    let report = repaired.expect("damage is never an error");
    let verified = verify_directory(&target.env(), true).expect("it reads");
    assert!(verified.problems.is_empty(), "the new database is damaged: {verified:?}");
    let engine = Engine::open_in(target.env(), specimen::options()).expect("it is sound");
    let found = contents(&engine).expect("it is sound");
    assert_eq!(found.len() as u64, report.keys);
    for (key, value) in &found {
        assert!(is_written(key, value), "{key:?} never had the value {value:?}");
    }
    if recipe.files.is_empty() {
        assert_eq!(found, specimen.flushed, "nothing was damaged");
    }
}

impl Fate {
    fn befall(&self, disk: &SimDisk, names: &[String], name: &str) {
        match self {
            Fate::Damaged(damages) => {
                let mut bytes = disk.read_file(name).unwrap_or_default();
                apply_all(damages, &mut bytes);
                disk.write_file(name, &bytes);
            }
            Fate::Replaced(bytes) => disk.write_file(name, bytes),
            Fate::Copied(other) => {
                let other = &names[usize::from(*other) % names.len()];
                disk.write_file(name, &disk.read_file(other).unwrap_or_default());
            }
            Fate::Lost => disk.write_file(name, &[]),
        }
    }
}
