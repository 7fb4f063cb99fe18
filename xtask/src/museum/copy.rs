//! The mutated copy of the crates.
#![allow(clippy::disallowed_methods, reason = "a tool at the edge writes files directly")]

use std::fs;
use std::path::Path;

use super::mutants::{Mutant, SWITCH};
use crate::failure::{Context, Failure, Outcome};
use crate::tidy::all_of;

/// The program of kv-sim that hunts.
pub(super) const HUNT: &str = "hunt";

/// The crate of that program: the copy holds what it is built of, which includes
/// all that is hunted in.
const HUNTER: &str = "kv-sim";

/// The tests of kv-engine.
pub(super) const TESTS: &str = "it";

/// Its tests under a scheduler, and the feature that they need.
pub(super) const SCHEDULES: &str = "shuttle";

/// The environment variable that holds the name of the mutant on show.
pub(super) const SWITCH_VARIABLE: &str = "KV_MUTANT";

/// Where all crates can find the switch.
const SWITCH_FILE: &str = "kv-core/src/lib.rs";

const SWITCH_CODE: &str = r#"
/// Which mutant is on show.
pub mod museum {
    /// True for the one that the environment names.
    pub fn shows(name: &str) -> bool {
        static ON_SHOW: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        ON_SHOW.get_or_init(|| std::env::var("KV_MUTANT").ok()).as_deref() == Some(name)
    }
}
"#;

/// Writes the copy of `root` with all `mutants` to `copy`. Files that are there
/// and the same stay as they are, so that a second build is short.
pub(super) fn write_copy(root: &Path, copy: &Path, mutants: &[Mutant]) -> Outcome {
    let manifest = read(&root.join("Cargo.toml"))?;
    let members = "members = [\"crates/*\", \"xtask\"]";
    if !manifest.contains(members) {
        return Err(Failure::check("Cargo.toml lists other members than the museum knows"));
    }
    let manifest = with_own_version(&manifest.replace(members, "members = [\"crates/*\"]"))?;
    write(&copy.join("Cargo.toml"), &manifest)?;
    write(&copy.join("Cargo.lock"), &read(&root.join("Cargo.lock"))?)?;
    let (from, to) = (root.join("crates"), copy.join("crates"));
    for name in all_of(HUNTER) {
        copy_tree(&from, &to, name, mutants)?;
    }
    Ok(())
}

/// The manifest of the copy. Its crates have a version of their own: Cargo tells
/// crates apart by name, version and place in the workspace, and would else take
/// programs of the copy for those of the original, which share a directory.
fn with_own_version(manifest: &str) -> Outcome<String> {
    let (head, rest) = manifest
        .split_once("[workspace.package]\nversion = \"")
        .ok_or_else(|| Failure::check("Cargo.toml has no version where the museum looks for it"))?;
    let rest = rest.replacen('"', "+museum\"", 1);
    Ok(format!("{head}[workspace.package]\nversion = \"{rest}"))
}

fn copy_tree(from: &Path, to: &Path, below: &str, mutants: &[Mutant]) -> Outcome {
    let directory = from.join(below);
    for entry in fs::read_dir(&directory).context(directory.display())? {
        let entry = entry.context(directory.display())?;
        let path = format!("{below}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().context(&path)?.is_dir() {
            copy_tree(from, to, &path, mutants)?;
        } else if ["rs", "toml", "md"].iter().any(|end| path.ends_with(&format!(".{end}"))) {
            let text = mutate(&path, read(&from.join(&path))?, mutants)?;
            write(&to.join(&path), &text)?;
        }
    }
    Ok(())
}

/// The text of `file` with all its mutants.
fn mutate(file: &str, mut text: String, mutants: &[Mutant]) -> Outcome<String> {
    let home = if file.starts_with("kv-core/") { "crate" } else { "kv_core" };
    for mutant in mutants.iter().filter(|mutant| mutant.file == file) {
        let found = text.matches(mutant.original).count();
        if found != 1 {
            return Err(Failure::check(format!(
                "mutant {}: its original stands {found} times in crates/{file}, not once; \
                 the code has changed, and the mutant has to follow",
                mutant.name
            )));
        }
        let switch = format!("{home}::museum::shows(\"{}\")", mutant.name);
        text = text.replace(mutant.original, &mutant.code.replace(SWITCH, &switch));
    }
    if file == SWITCH_FILE {
        text.push_str(SWITCH_CODE);
    }
    Ok(text)
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).context(path.display())
}

fn write(path: &Path, text: &str) -> Outcome {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).context(directory.display())?;
    }
    fs::write(path, text).context(path.display())
}

#[cfg(test)]
mod tests {
    use super::super::mutants::all;
    use super::*;

    /// Code that moves takes its mutants along; this says so before the museum
    /// is opened.
    #[test]
    fn every_mutant_still_fits() {
        let copy = tempfile::tempdir().unwrap();
        let root = crate::workspace::source_root();
        write_copy(&root, copy.path(), &all()).unwrap();
        let manifest = read(&copy.path().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("+museum\"\nedition"), "{manifest}");
        for mutant in all() {
            let text = read(&copy.path().join("crates").join(mutant.file)).unwrap();
            assert!(text.contains(&format!("shows(\"{}\")", mutant.name)), "{}", mutant.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = all().iter().map(|mutant| mutant.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().len());
    }
}
