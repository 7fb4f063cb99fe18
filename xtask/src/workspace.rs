//! The workspace as Cargo describes it, and its text files.
#![allow(clippy::disallowed_methods, reason = "a tool at the edge reads source files directly")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::failure::{Context, Failure, Outcome};

/// Directories that hold nothing written by people.
const SKIPPED_DIRECTORIES: [&str; 4] = ["target", ".git", "data", "node_modules"];

/// What `cargo metadata` says of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
}

/// One crate of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) readme: Option<String>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// One line of a crate's dependency sections.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for a normal dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    #[serde(rename = "req")]
    pub(crate) requirement: String,
    /// Set for crates of this workspace.
    pub(crate) path: Option<PathBuf>,
}

/// Something Cargo builds of a crate.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
    pub(crate) src_path: PathBuf,
    /// Features without which it is left out.
    #[serde(default, rename = "required-features")]
    pub(crate) required_features: Vec<String>,
}

/// A file of the tree with its text.
#[derive(Debug)]
pub(crate) struct TextFile {
    /// Relative to the workspace root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Workspace {
    /// Asks Cargo, without the network.
    pub(crate) fn load() -> Outcome<Workspace> {
        let output = Command::new(cargo_program())
            .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
            .current_dir(source_root())
            .output()
            .context("cannot start cargo metadata")?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::check(format!("cargo metadata failed: {complaint}")));
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| Failure::check(format!("cargo metadata is not as expected: {error}")))
    }

    /// All files whose name ends in `suffix`, sorted by path.
    pub(crate) fn files(&self, suffix: &str) -> Outcome<Vec<TextFile>> {
        let mut found = Vec::new();
        collect_files(&self.root, &self.root, suffix, &mut found)?;
        found.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(found)
    }

    /// The text of one file, or `None` where it does not exist.
    pub(crate) fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    /// `path` relative to the root, with `/`.
    pub(crate) fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().replace('\\', "/")
    }
}

/// The cargo that runs us, so that a nested call uses the same toolchain.
pub(crate) fn cargo_program() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// The root of the source tree this tool was built from.
pub(crate) fn source_root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

fn collect_files(
    root: &Path,
    directory: &Path,
    suffix: &str,
    found: &mut Vec<TextFile>,
) -> Outcome {
    let entries = fs::read_dir(directory).context(directory.display())?;
    for entry in entries {
        let entry = entry.context(directory.display())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        let kind = entry.file_type().context(path.display())?;
        if kind.is_dir() && !SKIPPED_DIRECTORIES.contains(&name.as_str()) {
            collect_files(root, &path, suffix, found)?;
        } else if kind.is_file() && name.ends_with(suffix) {
            let text = fs::read_to_string(&path).context(path.display())?;
            let relative = path.strip_prefix(root).unwrap_or(&path);
            found.push(TextFile { path: relative.to_string_lossy().replace('\\', "/"), text });
        }
    }
    Ok(())
}
