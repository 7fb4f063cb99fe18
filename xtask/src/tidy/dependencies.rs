//! `docs/DEPENDENCIES.md` names every crate from outside, with a reason.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use crate::workspace::Workspace;

const DOCUMENT: &str = "docs/DEPENDENCIES.md";
const ROOT_MANIFEST: &str = "Cargo.toml";

/// A row of the document: `| crate | version | licence | reason |`.
struct Row {
    line: usize,
    version: String,
    complete: bool,
}

/// Checks the document and the root manifest against what the crates use.
pub(crate) fn check(workspace: &Workspace) -> Vec<Violation> {
    let used = used_dependencies(workspace);
    let mut violations = document_violations(&used, &workspace.read(DOCUMENT).unwrap_or_default());
    let root = workspace.read(ROOT_MANIFEST).unwrap_or_default();
    let own: BTreeSet<&str> =
        workspace.packages.iter().map(|package| package.name.as_str()).collect();
    for (line, name) in declared_dependencies(&root) {
        if !used.contains_key(name) && !own.contains(name) {
            let message = format!("no crate uses {name}: remove its line");
            violations.push(Violation::new("dependency", ROOT_MANIFEST, message).at(line));
        }
    }
    violations
}

/// Name and version requirement of each dependency from outside.
fn used_dependencies(workspace: &Workspace) -> BTreeMap<String, String> {
    let all = workspace.packages.iter().flat_map(|package| &package.dependencies);
    all.filter(|dependency| dependency.path.is_none())
        .map(|dependency| {
            let version = dependency.requirement.trim_start_matches('^').to_owned();
            (dependency.name.clone(), version)
        })
        .collect()
}

fn document_violations(used: &BTreeMap<String, String>, document: &str) -> Vec<Violation> {
    let rows = rows(document);
    let mut violations = Vec::new();
    for (name, version) in used {
        match rows.get(name) {
            None => {
                let message = format!("{name} {version} has no row");
                violations.push(Violation::new("dependency", DOCUMENT, message));
            }
            Some(row) if !row.complete => {
                let message = format!("the row of {name} lacks its licence or reason");
                violations.push(Violation::new("dependency", DOCUMENT, message).at(row.line));
            }
            Some(row) if row.version != *version => {
                let message = format!("{name} is used as {version}, the row says {}", row.version);
                violations.push(Violation::new("dependency", DOCUMENT, message).at(row.line));
            }
            Some(_) => {}
        }
    }
    for (name, row) in &rows {
        if !used.contains_key(name) {
            let message = format!("no crate uses {name}: remove its row");
            violations.push(Violation::new("dependency", DOCUMENT, message).at(row.line));
        }
    }
    violations
}

/// The rows of all tables whose first column is headed `crate`.
fn rows(document: &str) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    let mut inside = false;
    for (index, line) in document.lines().enumerate() {
        let line = line.trim();
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if !line.starts_with('|') {
            inside = false;
        } else if cells[0] == "crate" {
            inside = true;
        } else if inside && !cells[0].starts_with('-') {
            let version = cells.get(1).map_or("", |cell| cell.trim_matches('`')).to_owned();
            let complete = cells.len() >= 4 && cells.iter().all(|cell| !cell.is_empty());
            let name = cells[0].trim_matches('`').to_owned();
            rows.insert(name, Row { line: index + 1, version, complete });
        }
    }
    rows
}

/// Line and name of each entry of `[workspace.dependencies]`.
fn declared_dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let lines = manifest.lines().enumerate();
    let section = lines.skip_while(|(_, line)| line.trim() != "[workspace.dependencies]").skip(1);
    section
        .take_while(|(_, line)| !line.trim_start().starts_with('['))
        .filter(|(_, line)| !line.trim_start().starts_with('#'))
        .filter_map(|(index, line)| Some((index + 1, line.split_once('=')?.0.trim())))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{declared_dependencies, document_violations};

    #[test]
    fn each_dependency_has_one_complete_and_current_row() {
        let used = BTreeMap::from([("serde".to_owned(), "1.0".to_owned())]);
        let table = |rows: &str| format!("| crate | version | licence | why |\n|-|-|-|-|\n{rows}");
        let cases = [
            ("| `serde` | 1.0 | MIT | records |", 0),
            ("", 1),
            ("| serde | 1.1 | MIT | records |", 1),
            ("| serde | 1.0 | | records |", 1),
            ("| serde | 1.0 | MIT | records |\n| gone | 1 | MIT | x |", 1),
        ];
        for (rows, count) in cases {
            assert_eq!(document_violations(&used, &table(rows)).len(), count, "{rows}");
        }
    }

    #[test]
    fn the_section_of_shared_versions_is_read() {
        let manifest = "[a]\nx = 1\n[workspace.dependencies]\n# why = not\nb = \"1\"\n\nc = { d = 1 }\n[e]\nf = 1\n";
        assert_eq!(declared_dependencies(manifest), [(5, "b"), (7, "c")]);
    }
}
