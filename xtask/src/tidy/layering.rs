//! Which crate may import which: arrows point down only.
//!
//! [`LAYERS`] is the import table of the architecture, compared with the
//! manifests and with the table in `docs/ARCHITECTURE.md`. Tests may use
//! whatever lies below their crate at any distance.

use std::collections::BTreeSet;

use super::Violation;
use crate::workspace::{Package, Workspace};

const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";

/// The libraries, lowest first.
const LIBRARIES: [&str; 7] =
    ["kv-core", "kv-env", "kv-wal", "kv-memtable", "kv-sstable", "kv-compaction", "kv-engine"];

/// What the project's own tools may import: the libraries and the simulator.
const TOOLS_MAY_IMPORT: [&str; 8] = [
    "kv-core",
    "kv-env",
    "kv-wal",
    "kv-memtable",
    "kv-sstable",
    "kv-compaction",
    "kv-engine",
    "kv-sim",
];

/// Each crate with the crates of this workspace that it may import, lowest
/// first.
const LAYERS: [(&str, &[&str]); 11] = [
    ("kv-core", &[]),
    ("kv-env", &["kv-core"]),
    ("kv-wal", &["kv-core", "kv-env"]),
    ("kv-memtable", &["kv-core"]),
    ("kv-sstable", &["kv-core", "kv-env"]),
    ("kv-compaction", &["kv-core", "kv-env", "kv-sstable"]),
    ("kv-engine", LIBRARIES.split_at(6).0),
    ("kv-server", &["kv-core", "kv-env", "kv-engine"]),
    ("kv-cli", &LIBRARIES),
    ("kv-sim", &["kv-env", "kv-engine"]),
    ("xtask", &TOOLS_MAY_IMPORT),
];

/// Checks the manifests and the document against [`LAYERS`].
pub(crate) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in &workspace.packages {
        let manifest = workspace.relative(&package.manifest_path);
        violations.extend(package_violations(&manifest, package));
    }
    if let Some(text) = workspace.read(ARCHITECTURE) {
        violations.extend(document_violations(&text));
    }
    violations
}

fn package_violations(manifest: &str, package: &Package) -> Vec<Violation> {
    let Some(allowed) = imports_of(&package.name) else {
        let message = format!("{} is not in the import table of xtask's tidy", package.name);
        return vec![Violation::new("layering", manifest, message)];
    };
    let below = everything_below(&package.name);
    let own = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
    own.filter_map(|dependency| {
        let name = dependency.name.as_str();
        let permitted = match dependency.kind.as_deref() {
            Some("dev") => below.contains(name),
            _ => allowed.contains(&name),
        };
        (!permitted).then(|| {
            let message = format!("{} must not import {name}", package.name);
            Violation::new("layering", manifest, message)
        })
    })
    .collect()
}

/// The crate `name` and all of this workspace that it is built of.
pub(crate) fn all_of(name: &'static str) -> BTreeSet<&'static str> {
    let mut all = everything_below(name);
    all.insert(name);
    all
}

fn imports_of(name: &str) -> Option<&'static [&'static str]> {
    LAYERS.iter().find(|(layer, _)| *layer == name).map(|(_, imports)| *imports)
}

fn everything_below(name: &str) -> BTreeSet<&'static str> {
    let mut below = BTreeSet::new();
    let mut open: Vec<&str> = imports_of(name).unwrap_or_default().to_vec();
    while let Some(next) = open.pop() {
        if let Some((layer, imports)) = LAYERS.iter().find(|(layer, _)| *layer == next)
            && below.insert(*layer)
        {
            open.extend_from_slice(imports);
        }
    }
    below
}

/// Compares the rows of the table whose first column is `crate` and one of
/// whose others is `may import`.
fn document_violations(text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut column = None;
    for (index, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        if !line.trim_start().starts_with('|') {
            column = None;
        } else if cells[0] == "crate" {
            column = cells.iter().position(|cell| *cell == "may import");
        } else if let Some(cell) = column.and_then(|column| cells.get(column))
            && !cells[0].starts_with('-')
        {
            let name = cells[0].trim_matches('`');
            let actual = imports_of(name).unwrap_or_default().iter().copied();
            if documented_imports(cell, name) != actual.collect() {
                let message = format!("the row of {name} differs from xtask's import table");
                violations.push(Violation::new("layering", ARCHITECTURE, message).at(index + 1));
            }
        }
    }
    violations
}

/// The crates that a cell names, or means by `all above`, `all below`, `any`.
fn documented_imports<'a>(cell: &'a str, name: &str) -> BTreeSet<&'a str> {
    if cell == "any" {
        return TOOLS_MAY_IMPORT.into_iter().collect();
    }
    if cell.starts_with("all") {
        return LIBRARIES.into_iter().take_while(|library| *library != name).collect();
    }
    let words = cell.split(|c: char| !c.is_alphanumeric() && c != '-');
    words.filter(|word| word.starts_with("kv-")).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{document_violations, package_violations};
    use crate::workspace::{Dependency, Package};

    fn package(name: &str, dependency: &str, kind: Option<&str>) -> Package {
        Package {
            name: name.into(),
            description: None,
            readme: None,
            manifest_path: PathBuf::new(),
            dependencies: vec![Dependency {
                name: dependency.into(),
                kind: kind.map(str::to_owned),
                requirement: "*".into(),
                path: Some(PathBuf::new()),
            }],
            targets: Vec::new(),
        }
    }

    #[test]
    fn imports_point_down_and_tests_may_reach_further() {
        let cases = [
            ("kv-wal", "kv-env", None, 0),
            ("kv-wal", "kv-memtable", None, 1),
            ("kv-core", "kv-env", None, 1),
            ("kv-server", "kv-wal", None, 1),
            ("kv-server", "kv-wal", Some("dev"), 0),
            ("kv-memtable", "kv-env", Some("dev"), 1),
            ("kv-sstable", "kv-compaction", Some("build"), 1),
            ("kv-unheard-of", "kv-core", None, 1),
        ];
        for (name, dependency, kind, count) in cases {
            let violations = package_violations("x", &package(name, dependency, kind));
            assert_eq!(violations.len(), count, "{name} -> {dependency} ({kind:?})");
        }
    }

    #[test]
    fn the_document_shows_the_same_table() {
        let table =
            |row: &str| format!("| crate | is | may import |\n|---|---|---|\n{row}\n\ntext");
        let good = [
            "| kv-core | x | - |",
            "| `kv-wal` | x | kv-env, `kv-core` |",
            "| kv-compaction | x | kv-core, kv-sstable (kv-env for ports) |",
            "| kv-engine | x | all above |",
            "| kv-cli | x | all below |",
            "| kv-sim | x | kv-env, kv-engine |",
            "| xtask | x | any |",
        ];
        for row in good {
            assert_eq!(document_violations(&table(row)), [], "{row}");
        }
        let bad = document_violations(&table("| kv-core | x | kv-env |"));
        assert_eq!(bad.len(), 1);
        assert_eq!(bad[0].line, Some(3));
        assert_eq!(document_violations("| crate | why |\n|---|---|\n| kv-core | kv-env |"), []);
    }
}
